#include "bench/ep/work.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/quantise.h"
#include "kernels/reduce.h"

namespace weft::bench::ep {

namespace {

uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

Rounds::Rounds(const Work& work) : work_(work), rows_(size_t{work.top_k} * work.hidden), want_(work.hidden) {
  // Zipf with exponent 1; or an eighth of the experts, but at most 32, that get nine tenths of the choices.
  const uint32_t hot = std::clamp(work.experts / 8, 1u, 32u);
  for (uint32_t e = 0; e < work.experts; ++e)
    cumulative_.push_back(work.routing == Routing::uniform ? 1.0
                          : work.routing == Routing::zipf  ? 1.0 / (e + 1)
                          : e < hot                        ? 0.9 / hot
                                                           : 0.1 / (work.experts - hot));
  std::partial_sum(cumulative_.begin(), cumulative_.end(), cumulative_.begin());
}

void Rounds::make(uint32_t rank, uint64_t round, Tokens& tokens) const {
  const uint64_t seed = round * 1'000'003 + rank + 1;
  // FP8 codes without NaN, or bf16 values from 1 to 2.
  const uint64_t keep = work_.fp8 ? 0x7777777777777777 : 0x007F007F007F007F;
  const uint64_t set = work_.fp8 ? 0 : 0x3F803F803F803F80;
  const size_t words = tokens.rows.size() / 8;
  for (size_t i = 0; i < words; ++i) {
    const uint64_t product = (seed + i) * 0x9E3779B97F4A7C15;
    const uint64_t word = ((product ^ (product >> 29)) & keep) | set;
    std::memcpy(tokens.rows.data() + i * 8, &word, 8);
  }
  for (size_t i = 0; i < tokens.scales.size(); ++i)
    tokens.scales[i] = 0.5f + static_cast<float>((seed + i) % 16) / 16.0f;
  uint64_t state = mixed(seed);
  for (uint32_t t = 0; t < work_.tokens; ++t) {
    int32_t* row = tokens.experts.data() + size_t{t} * work_.top_k;
    for (uint32_t k = 0; k < work_.top_k; ++k) {
      int32_t expert;
      do {
        state = mixed(state + 0x9E3779B97F4A7C15);
        const double at = static_cast<double>(state >> 11) / 9007199254740992.0 * cumulative_.back();
        expert = static_cast<int32_t>(std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, at) -
                                      cumulative_.begin());
      } while (std::find(row, row + k, expert) != row + k);
      row[k] = expert;
      tokens.weights[size_t{t} * work_.top_k + k] = 0.25f + static_cast<float>(state % 64) / 128.0f;
    }
  }
}

void Rounds::answer(const Tokens& tokens, uint32_t token, int32_t expert, uint16_t* out) const {
  const std::byte* row = tokens.rows.data() + token * work_.row_bytes();
  if (work_.fp8)
    kernels::dequantise_rows(reinterpret_cast<const uint8_t*>(row),
                             tokens.scales.data() + token * work_.scale_bytes() / sizeof(float), 1,
                             work_.hidden, out);
  else
    std::memcpy(out, row, work_.row_bytes());
  // Every expert's differs from every other's; zeros stay, as arithmetic with denormal numbers is a slow
  // case.
  const auto mark = static_cast<uint16_t>(expert & 15);
  for (uint32_t h = 0; h < work_.hidden; ++h)
    out[h] = static_cast<uint16_t>(out[h] ^ ((out[h] & 0x7F80) != 0 ? mark : 0));
}

uint64_t Rounds::count_wrong(const Tokens& tokens, const uint16_t* result) {
  uint64_t wrong = 0;
  std::vector<const uint16_t*> inputs(work_.top_k);
  for (uint32_t t = 0; t < work_.tokens; ++t, result += work_.hidden) {
    for (uint32_t k = 0; k < work_.top_k; ++k) {
      uint16_t* row = rows_.data() + size_t{k} * work_.hidden;
      answer(tokens, t, tokens.experts[size_t{t} * work_.top_k + k], row);
      inputs[k] = row;
    }
    kernels::weighted_row(inputs.data(), tokens.weights.data() + size_t{t} * work_.top_k, work_.top_k,
                          work_.hidden, want_.data());
    if (std::memcmp(want_.data(), result, work_.output_bytes()) == 0) continue;
    for (uint32_t h = 0; h < work_.hidden; ++h) wrong += want_[h] != result[h] ? 2 : 0;
  }
  return wrong;
}

void due(const Work& work, const std::vector<Tokens>& all, uint32_t rank, std::vector<Place>& places) {
  places.clear();
  for (uint32_t s = 0; s < work.ranks; ++s)
    for (uint32_t t = 0; t < work.tokens; ++t)
      for (uint32_t k = 0; k < work.top_k; ++k)
        if (const int32_t e = all[s].experts[size_t{t} * work.top_k + k]; work.rank_of(e) == rank)
          places.push_back({s, t, k, e});
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& a, const Place& b) { return a.expert < b.expert; });
}

}  // namespace weft::bench::ep
