// Two attention and two ffn ranks, a process each, that do rounds until they are told to stop. One of them,
// the victim, comes to a certain place and stays there, for the test to do something to it.
#pragma once

#include <memory>
#include <vector>

#include "support/process.h"

namespace weft::test {

enum class Place : uint32_t {
  nowhere,         // it does rounds as the others do
  idle,            // between two rounds
  after_dispatch,  // attention: a round is published, and not yet combined
  in_stream,       // attention: half of a round is published
  in_reply,        // ffn: half of a reply is published
};
const char* name_of(Place place);

enum class Exit : uint32_t {
  stays,   // until the process is killed or told to go on
  closes,  // says goodbye by itself
};

class Cluster {
 public:
  static constexpr uint32_t kMembers = 4;  // attention 0 and 1, ffn 2 and 3

  Cluster(const std::string& transport, uint32_t victim, Place place, Exit exit);

  Board& board() { return *board_; }
  Child& child(uint32_t member) { return children_[member]; }
  static bool is_attention(uint32_t member) { return member < 2; }

  // Everybody has done some rounds and the victim is where it should be.
  bool victim_is_there();
  // Each attention rank but `without` combines so many more rounds.
  bool goes_on(uint32_t without, uint64_t rounds);
  // Ends all members but `without`; true when each ended well and left nothing behind.
  bool stop(uint32_t without);

 private:
  void member(uint32_t number);
  void attention(Rank& rank, uint32_t number);
  void ffn(Rank& rank, uint32_t number);
  // The victim has come to its place; true when it is to go on with its rounds afterwards.
  bool stay(Rank& rank, uint32_t number);
  bool is_place(uint32_t number, Place place);
  Code combine(Rank& rank, uint64_t generation, std::vector<uint16_t>& out, bool skip_lost);

  MeshPlan plan_;
  uint32_t victim_;
  Place place_;
  Exit exit_;
  Shared<Board> board_;
  std::vector<Child> children_;
};

}  // namespace weft::test
