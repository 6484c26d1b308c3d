// The work of an expert-parallel benchmark round, the same for every contender: who sends what to whom, what
// the experts make of it, and what must come out. docs/performance.md, "Method".
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft::bench::ep {

enum class Routing : uint8_t { uniform = 0, zipf, hot };

struct Work {
  uint32_t ranks = 2;
  uint32_t tokens = 0;
  uint32_t hidden = 0;
  uint32_t experts = 0;
  uint32_t top_k = 0;
  bool fp8 = true;  // dispatch FP8 with scales, otherwise bf16; outputs are bf16
  Routing routing = Routing::uniform;
  uint32_t depth = 2;

  size_t row_bytes() const { return size_t{hidden} * (fp8 ? 1 : 2); }
  size_t scale_bytes() const { return fp8 ? (hidden + 127) / 128 * sizeof(float) : 0; }
  size_t output_bytes() const { return size_t{hidden} * 2; }
  size_t choices() const { return size_t{tokens} * top_k; }
  uint32_t rank_of(int32_t expert) const { return static_cast<uint32_t>(uint64_t(expert) * ranks / experts); }
  // Rows that a rank can be sent.
  size_t most_rows() const { return ranks * choices(); }
};

// What one rank sends in a round.
struct Tokens {
  explicit Tokens(const Work& work)
      : rows(work.tokens * work.row_bytes()),
        scales(work.tokens * work.scale_bytes() / sizeof(float)),
        experts(work.choices()),
        weights(work.choices()) {}
  std::vector<std::byte> rows;
  std::vector<float> scales;
  std::vector<int32_t> experts;  // [tokens, top_k], distinct in a row
  std::vector<float> weights;
};

class Rounds {
 public:
  explicit Rounds(const Work& work);

  // Differs for every round and rank, and at every position.
  void make(uint32_t rank, uint64_t round, Tokens& tokens) const;
  // What `expert` makes of row `token`: a bf16 row.
  void answer(const Tokens& tokens, uint32_t token, int32_t expert, uint16_t* out) const;
  // Bytes of a rank's result that are not what they should be.
  uint64_t count_wrong(const Tokens& tokens, const uint16_t* result);

 private:
  Work work_;
  std::vector<double> cumulative_;  // [experts] probability of those up to each
  std::vector<uint16_t> rows_, want_;
};

// A row that lies somewhere in what a rank was sent.
struct Place {
  uint32_t source, token, k;
  int32_t expert;
};

// Of all ranks' tokens, what `rank` must be sent: by expert, source, token.
void due(const Work& work, const std::vector<Tokens>& all, uint32_t rank, std::vector<Place>& places);

}  // namespace weft::bench::ep
