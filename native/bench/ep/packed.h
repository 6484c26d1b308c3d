// The rows of a rank's experts, copied together by hand: in the order of expert, source and choice, which a
// counting sort finds, as one writes it without a library.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "bench/ep/work.h"
#include "kernels/stream.h"
#include "memory/mapping.h"

namespace weft::bench::ep {

// Memory for the most rows that a rank can be sent, and behind them their scales.
class PackedRows {
 public:
  explicit PackedRows(const Work& work)
      : row_bytes_(work.row_bytes()),
        scale_bytes_(work.scale_bytes()),
        scales_at_(work.most_rows() * row_bytes_),
        memory_(*Mapping::anonymous(work.most_rows() * (row_bytes_ + scale_bytes_))) {}

  std::byte* row(size_t i) const { return memory_->data() + i * row_bytes_; }
  std::byte* scales(size_t i) const { return memory_->data() + scales_at_ + i * scale_bytes_; }

 private:
  size_t row_bytes_, scale_bytes_, scales_at_;
  std::shared_ptr<Mapping> memory_;
};

class Packed : public PackedRows {
 public:
  Packed(const Work& work, uint32_t rank)
      : PackedRows(work), work_(work), rank_(rank), next_(size_t{work.experts} * work.ranks) {}

  // choices_of(source): its choices. run(source, first, count): it has these places, for one expert.
  template <class Choices, class Run>
  void sort(Choices&& choices_of, Run&& run) {
    std::fill(next_.begin(), next_.end(), 0);
    for (uint32_t r = 0; r < work_.ranks; ++r)
      for (const int32_t e : choices_of(r)) ++next_[static_cast<size_t>(e) * work_.ranks + r];
    rows_ = 0;
    for (size_t e = 0; e < work_.experts; ++e) {
      if (work_.rank_of(static_cast<int32_t>(e)) != rank_) continue;
      for (uint32_t r = 0; r < work_.ranks; ++r) {
        uint32_t& next = next_[e * work_.ranks + r];
        const uint32_t count = next;
        next = rows_;
        run(r, rows_, count);
        rows_ += count;
      }
    }
  }
  uint32_t rows() const { return rows_; }

  // Copies a row to the next place of its expert and source, which it returns.
  uint32_t put(int32_t expert, uint32_t source, const std::byte* row, const std::byte* scales, bool streams) {
    const uint32_t place = next_[static_cast<size_t>(expert) * work_.ranks + source]++;
    if (streams)
      kernels::copy_streamed(this->row(place), row, work_.row_bytes());
    else
      std::memcpy(this->row(place), row, work_.row_bytes());
    if (work_.fp8) std::memcpy(this->scales(place), scales, work_.scale_bytes());
    return place;
  }

 private:
  Work work_;
  uint32_t rank_;
  std::vector<uint32_t> next_;  // [experts, ranks]
  uint32_t rows_ = 0;
};

}  // namespace weft::bench::ep
