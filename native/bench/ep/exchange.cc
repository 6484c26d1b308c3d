#include "bench/ep/exchange.h"

#include <cstring>

#include "bench/ep/packed.h"
#include "bench/workload.h"

namespace weft::bench::ep {

namespace {

class Exchange : public Contender {
 public:
  Exchange(const Work& work, AttentionSide& attention, ExpertSide& expert, bool expands)
      : work_(work),
        attention_(attention),
        expert_(expert),
        columns_(dispatch_columns(expert.config())),
        expands_(expands),
        packed_(work),
        result_(*Mapping::anonymous(work.tokens * work.output_bytes())) {}

  Code prepare(uint64_t, const Tokens& tokens) override {
    if (const Code code = attention_.claim(generation_); code != Code::ok) return code;
    const auto put = [&](uint32_t column, const auto& values) {
      if (column != kNoColumn)
        std::memcpy(attention_.publisher().column(generation_, column), values.data(),
                    values.size() * sizeof values[0]);
    };
    put(columns_.hidden, tokens.rows);
    put(columns_.scales, tokens.scales);
    put(columns_.experts, tokens.experts);
    put(columns_.weights, tokens.weights);
    return Code::ok;
  }

  Code dispatch() override {
    if (const Code code = attention_.publish(generation_, work_.tokens, work_.tokens, 0, 0); code != Code::ok)
      return code;
    Collect& collect = expert_.rounds().collect();
    collect.aim(Gather::all, 0, 0, false, false);
    collect.rearm(deadline_after_ms(kDeadlineMs));
    if (const Code code = expert_.endpoint().wait(collect); code != Code::ok) return code;
    uint64_t collected = 0;
    if (const Code code = expert_.group(collected); code != Code::ok) return code;
    if (!expands_) return Code::ok;
    expert_.expand(generation_, columns_.hidden, packed_.row(0), work_.row_bytes());
    if (work_.fp8) expert_.expand(generation_, columns_.scales, packed_.scales(0), work_.scale_bytes());
    return Code::ok;
  }

  const std::byte* row(size_t i) const override {
    return expands_ ? packed_.row(i) : in_place(columns_.hidden, i, work_.row_bytes());
  }
  const std::byte* scales(size_t i) const override {
    return expands_ ? packed_.scales(i) : in_place(columns_.scales, i, work_.scale_bytes());
  }
  size_t rows() const override { return expert_.grouping(generation_).places; }
  uint16_t* output(size_t i) override {
    return reinterpret_cast<uint16_t*>(expert_.replies().column(generation_, 0)) + i * work_.hidden;
  }

  Code combine() override {
    if (const Code code = expert_.reply(generation_, expert_.reply_rows(generation_)); code != Code::ok)
      return code;
    Combine& combine = attention_.combine(generation_);
    combine.aim(result_->data(), false);
    combine.rearm(deadline_after_ms(kDeadlineMs));
    const Code code = expert_.endpoint().wait(combine);
    attention_.finish(generation_, code);
    return code;
  }
  const uint16_t* result() const override { return reinterpret_cast<const uint16_t*>(result_->data()); }

 private:
  const std::byte* in_place(uint32_t column, size_t i, size_t bytes) const {
    const Grouping& grouping = expert_.grouping(generation_);
    return expert_.from(grouping.source[i]).column(generation_, column) + grouping.row[i] * bytes;
  }

  Work work_;
  AttentionSide& attention_;
  ExpertSide& expert_;
  DispatchColumns columns_;
  bool expands_;
  PackedRows packed_;
  std::shared_ptr<Mapping> result_;
  uint64_t generation_ = 0;
};

}  // namespace

std::unique_ptr<Contender> exchange(const Work& work, AttentionSide& attention, ExpertSide& expert,
                                    bool expands) {
  return std::make_unique<Exchange>(work, attention, expert, expands);
}

}  // namespace weft::bench::ep
