// The shape of a contender, and the loop that times all of them alike: barriers before dispatch and before
// combine, so that what is measured of each rank begins when all are ready; contents, outputs of experts and
// checks are outside of the measured time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bench/ep/work.h"
#include "core/status.h"

namespace weft::bench::ep {

class Contender {
 public:
  virtual ~Contender() = default;
  // Not timed: takes the tokens to where it will publish them from.
  virtual Code prepare(uint64_t round, const Tokens& tokens) = 0;
  // Timed: until every row for this rank's experts lies where rows() says.
  virtual Code dispatch() = 0;
  // A row in the order of due(): its place. Null: it stayed where it was published (index lists).
  virtual const std::byte* row(size_t i) const = 0;
  virtual const std::byte* scales(size_t i) const = 0;
  // Rows that came.
  virtual size_t rows() const = 0;
  // Not timed: where the output of the i-th row goes.
  virtual uint16_t* output(size_t i) = 0;
  // Timed: until the weighted sums are in result().
  virtual Code combine() = 0;
  virtual const uint16_t* result() const = 0;
};

// What all ranks of a run share: a barrier, in the zeroed beginning of a shared mapping.
class Barrier {
 public:
  static constexpr size_t kBytes = 4096;
  Barrier(std::byte* memory, uint32_t ranks, bool yields) : memory_(memory), ranks_(ranks), yields_(yields) {}
  // False: the others did not come within seconds.
  bool wait();

 private:
  std::byte* memory_;
  uint32_t ranks_;
  bool yields_;
};

// Runs rounds base + 1 and so on; nanoseconds of each phase. `code`: the first that was not ok, after which
// it stops.
struct Outcome {
  Code code = Code::ok;
  uint64_t wrong = 0;  // bytes
  // What other ranks must be told of our tokens: rows, each once for a rank, and choices of their experts.
  uint64_t rows_away = 0, choices_away = 0;
};
Outcome run(const Work& work, uint32_t rank, uint64_t base, Barrier& barrier, Contender& contender,
            std::span<double> dispatch_ns, std::span<double> combine_ns);

}  // namespace weft::bench::ep
