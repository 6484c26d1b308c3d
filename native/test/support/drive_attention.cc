#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "support/drive.h"
#include "support/later.h"

namespace weft::test {

AttentionDriver::AttentionDriver(Rank& rank, uint32_t number, const Script& script, const Traffic& traffic,
                                 uint64_t seed)
    : rank_(rank),
      side_(*rank.attention),
      number_(number),
      script_(script),
      traffic_(traffic),
      random_(mix(seed, number)),
      columns_(dispatch_columns(script.config())),
      out_(size_t{script.config().max_tokens} * script.config().hidden * (traffic.f32 ? 4 : 2)),
      digests_(traffic.rounds) {}

void AttentionDriver::run() {
  while (!testing::Test::HasFailure() && (started_ < traffic_.rounds || !flights_.empty())) {
    const bool may_start = started_ < traffic_.rounds && flights_.size() < script_.config().depth;
    if (may_start && (flights_.empty() || random_.chance(60)) && start()) continue;
    if (traffic_.stream && random_.chance(50)) {
      Flight& flight = flights_[random_.below(static_cast<uint32_t>(flights_.size()))];
      advance(flight, random_.between(flight.published, flight.round.rows));
      continue;
    }
    finish(random_.below(static_cast<uint32_t>(flights_.size())));
  }
}

bool AttentionDriver::start() {
  Flight flight{};
  const Code code = side_.claim(flight.generation);
  if (code == Code::slot_busy) {
    EXPECT_FALSE(flights_.empty()) << "a slot is busy though no round is in flight";
    return false;
  }
  EXPECT_EQ(code, Code::ok);
  EXPECT_EQ(flight.generation, started_ + 1u);
  ++started_;
  flight.round = script_.round(number_, flight.generation);
  const ScriptedRound& round = flight.round;
  const auto& layout = side_.publisher().layout();
  if (!round.meta.empty())
    std::memcpy(const_cast<std::byte*>(side_.publisher().column(flight.generation, 0)) -
                    layout.column(layout.slot_of(flight.generation), 0) +
                    layout.meta(layout.slot_of(flight.generation)),
                round.meta.data(), round.meta.size());
  if (columns_.experts != kNoColumn && round.rows > 0) {
    std::memcpy(side_.publisher().column(flight.generation, columns_.experts), round.experts.data(),
                round.experts.size() * sizeof(int32_t));
    std::memcpy(side_.publisher().column(flight.generation, columns_.weights), round.weights.data(),
                round.weights.size() * sizeof(float));
  }
  const uint32_t first = traffic_.stream ? random_.below(round.rows + 1) : round.rows;
  fill(flight, 0, first);
  EXPECT_EQ(side_.publish(flight.generation, round.rows, first, round.tag,
                          static_cast<uint16_t>(round.meta.size())),
            Code::ok);
  flight.published = first;
  flights_.push_back(std::move(flight));
  return true;
}

void AttentionDriver::fill(const Flight& flight, uint32_t from, uint32_t to) {
  const auto& widths = side_.publisher().layout().shape().column_bytes;
  for (uint32_t c = 0; c < widths.size(); ++c) {
    if (c == columns_.experts || c == columns_.weights) continue;
    std::byte* column = side_.publisher().column(flight.generation, c);
    for (uint32_t row = from; row < to; ++row)
      script_.payload(number_, flight.generation, c, row, {column + size_t{row} * widths[c], widths[c]});
  }
}

void AttentionDriver::advance(Flight& flight, uint32_t to) {
  fill(flight, flight.published, to);
  EXPECT_EQ(side_.publish(flight.generation, flight.round.rows, to, 0, 0), Code::ok);
  flight.published = to;
}

void AttentionDriver::finish(size_t i) {
  // A ffn rank takes a source's rounds in order, so rounds before this one must be complete as well.
  const uint64_t generation = flights_[i].generation;
  for (Flight& flight : flights_)
    if (flight.generation <= generation && flight.published < flight.round.rows)
      advance(flight, flight.round.rows);
  out_.repaint();
  auto& combine = side_.combine(generation);
  combine.aim(out_.data(), traffic_.f32);
  combine.rearm(deadline_after_ms(kPatienceMs));
  const Code code = wait_for(*rank_.endpoint, combine, random_.chance(traffic_.in_service_percent));
  side_.finish(generation, code);
  ASSERT_EQ(code, Code::ok) << "attention " << number_ << " round " << generation << " blames "
                            << combine.blamed;
  check(flights_[i]);
  flights_.erase(flights_.begin() + static_cast<ptrdiff_t>(i));
}

void AttentionDriver::check(const Flight& flight) {
  const auto& config = script_.config();
  uint64_t& digest = digests_[flight.generation - 1];
  if (config.combine != CombineKind::none) {
    const size_t row_bytes = size_t{config.hidden} * (traffic_.f32 ? 4 : 2);
    ASSERT_TRUE(out_.intact_beyond(flight.round.rows * row_bytes)) << "rows beyond the round were written";
    for (uint32_t token = 0; token < flight.round.rows; ++token) check_row(flight, token);
    for (size_t b = 0; b < flight.round.rows * row_bytes; ++b)
      digest = digest * 31 + static_cast<uint64_t>(out_.data()[b]);
    return;
  }
  const auto layout = reply_layout(config);
  const uint32_t width = layout.shape().column_bytes[0];
  std::vector<std::byte> want(width);
  for (uint32_t r = 0; r < config.ffn; ++r) {
    const uint32_t rows = script_.reply_rows(flight.round, number_, flight.generation, r);
    ASSERT_EQ(side_.combine(flight.generation).reply_rows(r), rows);
    const std::byte* got =
        rank_.endpoint->link(r).inbound(0) + layout.column(layout.slot_of(flight.generation), 0);
    for (uint32_t row = 0; row < rows; ++row) {
      script_.free_row(number_, flight.generation, r, row, want);
      ASSERT_EQ(std::memcmp(got + size_t{row} * width, want.data(), width), 0)
          << "rank " << r << " row " << row;
      for (const std::byte b : want) digest = digest * 31 + static_cast<uint64_t>(b);
    }
  }
}

void AttentionDriver::check_row(const Flight& flight, uint32_t token) {
  const auto& config = script_.config();
  const auto want =
      script_.combined(flight.round, number_, flight.generation, token, std::vector<bool>(config.ffn));
  for (uint32_t h = 0; h < config.hidden; ++h) {
    const size_t at = size_t{token} * config.hidden + h;
    if (traffic_.f32) {
      float got;
      std::memcpy(&got, out_.data() + at * 4, 4);
      ASSERT_EQ(got, want[h]) << "generation " << flight.generation << " token " << token << " channel " << h;
    } else {
      uint16_t got;
      std::memcpy(&got, out_.data() + at * 2, 2);
      ASSERT_EQ(got, narrow(want[h]))
          << "generation " << flight.generation << " token " << token << " channel " << h;
    }
  }
}

}  // namespace weft::test
