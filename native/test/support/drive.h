// Scripted traffic over a mesh: drivers for the two sides, which check everything that they see against the
// script.
#pragma once

#include <vector>

#include "support/guarded.h"
#include "support/random.h"
#include "support/script.h"
#include "support/test_mesh.h"

namespace weft::test {

constexpr double kPatienceMs = 30'000;  // a wait that takes longer has hung

struct Traffic {
  uint32_t rounds = 100;            // of each attention rank
  bool stream = false;              // rounds and replies are published in blocks
  bool f32 = false;                 // results in fp32
  uint32_t in_service_percent = 0;  // waits that are left to the service thread
};

// Keeps up to `depth` rounds in flight and combines them in any order.
class AttentionDriver {
 public:
  AttentionDriver(Rank& rank, uint32_t number, const Script& script, const Traffic& traffic, uint64_t seed);
  // Does its rounds; gtest failures are recorded as they come.
  void run();
  // Of every round's result, by generation.
  const std::vector<uint64_t>& digests() const { return digests_; }

 private:
  struct Flight {
    uint64_t generation;
    ScriptedRound round;
    uint32_t published;
  };

  bool start();  // false: no slot is free
  void fill(const Flight& flight, uint32_t from, uint32_t to);
  void advance(Flight& flight, uint32_t to);
  void finish(size_t i);
  void check(const Flight& flight);
  void check_row(const Flight& flight, uint32_t token);

  Rank& rank_;
  AttentionSide& side_;
  uint32_t number_;
  const Script& script_;
  Traffic traffic_;
  Random random_;
  DispatchColumns columns_;
  std::vector<Flight> flights_;
  uint32_t started_ = 0;
  Guarded out_;
  std::vector<uint64_t> digests_;
};

// Collects by all three ways of gathering, holds parts back and replies in any order, until all attention
// ranks left.
class FfnDriver {
 public:
  FfnDriver(Rank& rank, uint32_t number, const Script& script, const Traffic& traffic, uint64_t seed);
  void run();

 private:
  struct Task {
    uint32_t attention;
    uint64_t generation;
    ScriptedRound round;
    std::vector<uint32_t> taken;
    uint32_t checked = 0;    // taken rows compared so far
    uint32_t published = 0;  // reply rows
  };

  bool collect(bool wait);  // false: all attention ranks left
  void check_head(const Task& task);
  void check_rows(Task& task, uint32_t to);
  void check_selections(const Task& task);
  // Goes on with a task as far as possible, or a piece of that; true when it has been replied to.
  bool work(Task& task);
  void write_row(const Task& task, uint32_t row);

  Rank& rank_;
  FfnSide& side_;
  uint32_t number_;
  const Script& script_;
  Traffic traffic_;
  Random random_;
  DispatchColumns columns_;
  std::vector<Task> tasks_;
};

// Runs the scripted traffic on every member of a mesh, a thread each, and closes the attention ranks at the
// end. Returns the digests of all results, attention rank by attention rank.
std::vector<uint64_t> drive(TestMesh& mesh, const Script& script, const Traffic& traffic, uint64_t seed);

}  // namespace weft::test
