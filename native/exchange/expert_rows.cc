// What an expert's rank does with the rows of a round: copies by expert or by source, and sums of outputs.
#include <algorithm>

#include "core/cpu.h"
#include "exchange/expert.h"
#include "kernels/copy.h"
#include "kernels/gather.h"
#include "kernels/reduce.h"
#include "kernels/stream.h"

namespace weft {

namespace {
// The beginning of a row that is next: processors look ahead within a page, not to where the next row is.
void prefetch(const std::byte* row, size_t bytes) {
  for (size_t at = 0; at < std::min<size_t>(bytes, 1024); at += kCacheLine) __builtin_prefetch(row + at);
}

// Past the caches when the whole of it is more than they hold.
class RowCopier {
 public:
  explicit RowCopier(size_t bytes) : streams_(bytes >= kernels::kStreamedBytes) {}
  ~RowCopier() {
    if (streams_) kernels::streamed();
  }
  void operator()(std::byte* to, const std::byte* from, size_t bytes) const {
    if (streams_)
      kernels::copy_streamed(to, from, bytes);
    else
      kernels::copy_cached(to, from, bytes);
  }

 private:
  bool streams_;
};
}  // namespace

// Row by row as they lie at their sources, so that a row that goes to several places is read from memory
// once.
void ExpertSide::expand(uint64_t generation, uint32_t column, std::byte* out, size_t stride) const {
  const Round& round = this->round(generation);
  const RowCopier copy(size_t{round.grouping->places} * stride);
  for (uint32_t r = 0; r < config_.attention; ++r) {
    if (round.parts[r] == nullptr) continue;
    const Selections& selections = *round.parts[r]->selections;
    const uint32_t* place_of = round.grouping->place_of(r);
    const Subscriber& from = rounds_.subscriber(r);
    const uint32_t bytes = from.layout().shape().column_bytes[column];
    const std::byte* rows = from.column(generation, column);
    for (uint32_t i = 0; i < selections.count; ++i) {
      if (i + 1 < selections.count) prefetch(rows + size_t{selections.row[i + 1]} * bytes, bytes);
      copy(out + place_of[i] * stride, rows + size_t{selections.row[i]} * bytes, bytes);
    }
  }
}

void ExpertSide::expand_block(uint64_t generation, uint32_t expert, uint32_t column, std::byte* out,
                              size_t stride) const {
  const Grouping& grouping = *round(generation).grouping;
  const RowCopier copy(size_t{grouping.count[expert]} * stride);
  for (uint32_t r = 0; r < config_.attention; ++r) {
    const size_t group = size_t{expert} * config_.attention + r;
    const Subscriber& from = rounds_.subscriber(r);
    const uint32_t bytes = from.layout().shape().column_bytes[column];
    const std::byte* rows = from.column(generation, column);
    const uint32_t* row = grouping.row.data() + grouping.source_begin[group];
    for (uint32_t i = 0; i < grouping.source_count[group]; ++i, out += stride)
      copy(out, rows + size_t{row[i]} * bytes, bytes);
  }
}

void ExpertSide::gather(uint64_t generation, uint32_t column, std::byte* out) const {
  const Round& round = this->round(generation);
  for (uint32_t r = 0; r < config_.attention; ++r) {
    if (round.parts[r] == nullptr) continue;
    const Subscriber& from = rounds_.subscriber(r);
    const uint32_t bytes = from.layout().shape().column_bytes[column];
    const Part& part = rounds_.part(r, generation);
    kernels::gather_rows(from.column(generation, column), bytes, part.row_of.data(), part.view.taken, bytes,
                         out);
    out += size_t{part.view.taken} * bytes;
  }
}

void ExpertSide::reduce(uint64_t generation, const uint16_t* outputs) {
  const Round& round = this->round(generation);
  auto* out = reinterpret_cast<uint16_t*>(replies_.column(generation, 0));
  for (uint32_t r = 0; r < config_.attention; ++r) {
    if (round.parts[r] == nullptr) continue;
    const Selections& selections = *round.parts[r]->selections;
    const uint32_t* place_of = round.grouping->place_of(r);
    const auto* weights =
        reinterpret_cast<const float*>(rounds_.subscriber(r).column(generation, columns_.weights));
    const uint32_t taken = rounds_.part(r, generation).view.taken;
    uint32_t i = 0;
    for (uint32_t row = 0; row < taken; ++row, out += config_.hidden) {
      size_t n = 0;
      for (; i < selections.count && selections.taken[i] == row; ++i) {
        inputs_[n] = outputs + size_t{place_of[i]} * config_.hidden;
        weights_[n++] = weights[size_t{selections.row[i]} * config_.top_k + selections.k[i]];
      }
      kernels::weighted_row(inputs_.data(), weights_.data(), n, config_.hidden, out);
    }
  }
}

}  // namespace weft
