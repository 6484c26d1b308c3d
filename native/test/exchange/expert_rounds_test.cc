// Rounds of a symmetric exchange over every transport: ranks that hold each other's experts, several rounds
// in flight, in any order; what arrives, its order and its places, and what is combined, against the script.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "support/canaries.h"
#include "support/experts.h"
#include "support/guarded.h"
#include "support/later.h"
#include "support/scale.h"
#include "support/script.h"
#include "support/test_mesh.h"
#include "support/transports.h"

namespace weft::test {
namespace {

constexpr double kHungMs = 30'000;

struct Plan {
  uint32_t rounds = 40;
  bool stream = false;              // rounds and replies are published in blocks
  bool rows = false;                // combine 'sum': the caller sums by itself
  bool blocks = false;              // rounds are collected as they begin, and served expert by expert
  uint32_t in_service_percent = 0;  // waits that are left to the service thread
};

// One rank of the mesh, with a thread of its own. Every rank does all rounds; which of the things that it
// could do next comes next is left to chance.
class ExpertDriver {
 public:
  ExpertDriver(Rank& rank, uint32_t number, const Script& script, const Plan& plan, uint64_t seed)
      : rank_(rank),
        attention_(*rank.attention),
        expert_(*rank.expert),
        number_(number),
        script_(script),
        config_(script.config()),
        plan_(plan),
        random_(mix(seed, number)),
        columns_(dispatch_columns(config_)),
        out_(size_t{config_.max_tokens} * config_.hidden * 2),
        results(plan.rounds) {}

  void run() {
    // combined_ <= replied_ <= dispatched_: a rank must reply before it can wait for all to have done so.
    while (!testing::Test::HasFailure() && combined_ < plan_.rounds) {
      const bool may_dispatch = dispatched_ < plan_.rounds && dispatched_ - combined_ < config_.depth;
      const bool may_serve = served_ < dispatched_, may_combine = combined_ < served_;
      const uint32_t which = random_.below(3);
      if (which == 0 && may_dispatch)
        dispatch();
      else if (which == 1 && may_serve)
        serve();
      else if (which == 2 && may_combine)
        combine();
    }
  }

 private:
  Rank& rank_;
  AttentionSide& attention_;
  ExpertSide& expert_;
  uint32_t number_;
  const Script& script_;
  const ExchangeConfig& config_;
  Plan plan_;
  Random random_;
  DispatchColumns columns_;
  Guarded out_;
  uint32_t dispatched_ = 0, served_ = 0, combined_ = 0;

 public:
  std::vector<std::vector<std::byte>> results;

 private:
  void dispatch() {
    uint64_t g = 0;
    ASSERT_EQ(attention_.claim(g), Code::ok);
    ASSERT_EQ(g, ++dispatched_);
    const ScriptedRound round = script_.round(number_, g);
    const auto& widths = attention_.publisher().layout().shape().column_bytes;
    for (uint32_t c = 0; c < widths.size(); ++c) {
      std::byte* column = attention_.publisher().column(g, c);
      for (uint32_t row = 0; row < round.rows; ++row)
        if (c != columns_.experts && c != columns_.weights)
          script_.payload(number_, g, c, row, {column + size_t{row} * widths[c], widths[c]});
    }
    std::copy(round.experts.begin(), round.experts.end(),
              reinterpret_cast<int32_t*>(attention_.publisher().column(g, columns_.experts)));
    std::copy(round.weights.begin(), round.weights.end(),
              reinterpret_cast<float*>(attention_.publisher().column(g, columns_.weights)));
    uint32_t final_rows = plan_.stream ? random_.below(round.rows + 1) : round.rows;
    for (;;) {
      ASSERT_EQ(attention_.publish(g, round.rows, final_rows, round.tag, 0), Code::ok);
      if (final_rows == round.rows) break;
      final_rows = random_.between(final_rows + 1, round.rows);
    }
  }

  struct Placed {
    int32_t expert;
    uint32_t source, token, k;
    bool operator==(const Placed&) const = default;
  };

  // All that this rank must be sent, in the order of its places.
  std::vector<Placed> due(uint64_t g) const {
    std::vector<Placed> all;
    for (uint32_t e = 0; e < config_.experts; ++e)
      for (uint32_t s = 0; s < config_.attention; ++s) {
        const ScriptedRound round = script_.round(s, g);
        const auto ranks = config_.placement.of(e);
        for (uint32_t t = 0; t < round.rows; ++t)
          for (uint32_t k = 0; k < config_.top_k; ++k)
            if (round.experts[t * config_.top_k + k] == static_cast<int32_t>(e) &&
                ranks[(t + s) % ranks.size()] == number_)
              all.push_back({static_cast<int32_t>(e), s, t, k});
      }
    return all;
  }

  void serve() {
    Collect& collect = expert_.rounds().collect();
    collect.aim(Gather::all, 0, 0, plan_.blocks, false);
    collect.rearm(deadline_after_ms(kHungMs));
    ASSERT_EQ(wait_for(*rank_.endpoint, collect, random_.chance(plan_.in_service_percent)), Code::ok)
        << "blames " << collect.blamed;
    uint64_t g = 0;
    ASSERT_EQ(expert_.group(g), Code::ok);
    ASSERT_EQ(g, ++served_);

    const auto want = due(g);
    const Grouping& grouping = expert_.grouping(g);
    std::vector<Placed> got;
    std::vector<uint32_t> places;
    for (uint32_t e = 0; e < grouping.experts(); ++e)
      for (uint32_t place = grouping.begin[e]; place < grouping.begin[e] + grouping.count[e]; ++place) {
        got.push_back({grouping.expert[e], grouping.source[place], grouping.token[place], grouping.k[place]});
        places.push_back(place);
      }
    ASSERT_TRUE(got == want) << "rank " << number_ << " round " << g << ": " << got.size() << " of "
                             << want.size();
    if (plan_.blocks) serve_blocks(g, got, places);
    if (testing::Test::HasFailure() || !expert_.holds(g)) return;
    check_columns(g, got, places);
    if (config_.combine == CombineKind::weighted)
      answer_in_place(g, got, places);
    else
      answer_sums(g, got, places);
    publish_reply(g);
  }

  // Each block is looked at when it is said to be complete, and with combine 'weighted' answered then.
  void serve_blocks(uint64_t g, const std::vector<Placed>& rows, const std::vector<uint32_t>& places) {
    const Grouping& grouping = expert_.grouping(g);
    std::vector<bool> done(grouping.experts());
    uint32_t blocks = 0;
    for (uint32_t e = 0; e < grouping.experts(); ++e) {
      done[e] = grouping.count[e] == 0;
      blocks += !done[e];
    }
    for (uint32_t seen = 0; seen < blocks;) {
      BlockArrival& arrival = expert_.arrival(g);
      arrival.aim(g, seen, false);
      arrival.rearm(deadline_after_ms(kHungMs));
      ASSERT_EQ(wait_for(*rank_.endpoint, arrival, random_.chance(plan_.in_service_percent)), Code::ok)
          << "blames " << arrival.blamed;
      const auto ready = expert_.blocks(g).ready();
      ASSERT_GT(ready.size(), seen);
      for (; seen < ready.size(); ++seen) {
        const uint32_t e = ready[seen];
        ASSERT_FALSE(done[e]);
        done[e] = true;
        serve_block(g, e, rows, places);
      }
      if (config_.combine != CombineKind::weighted) continue;
      uint32_t end = 0;
      for (uint32_t e = 0; e < grouping.experts() && done[e]; ++e)
        if (grouping.count[e] > 0) end = grouping.begin[e] + grouping.count[e];
      ASSERT_EQ(expert_.reply(g, end), Code::ok);
    }
    if (config_.combine == CombineKind::weighted && expert_.holds(g)) {
      ASSERT_EQ(expert_.reply_rows(g), 0u) << "all blocks were published";
      ASSERT_EQ(expert_.reply(g, 0), Code::ok);
    }
  }

  void serve_block(uint64_t g, uint32_t e, const std::vector<Placed>& rows,
                   const std::vector<uint32_t>& places) {
    const Grouping& grouping = expert_.grouping(g);
    const uint32_t width = attention_.publisher().layout().shape().column_bytes[0];
    Guarded block(size_t{grouping.count[e]} * width);
    block.repaint();
    expert_.expand_block(g, e, 0, block.data(), width);
    ASSERT_TRUE(block.intact_beyond(size_t{grouping.count[e]} * width));
    std::vector<std::byte> row(width);
    auto* out = reinterpret_cast<uint16_t*>(expert_.replies().column(g, 0));
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].expert != grouping.expert[e]) continue;
      script_.payload(rows[i].source, g, 0, rows[i].token, row);
      const std::byte* copy = block.data() + size_t{places[i] - grouping.begin[e]} * width;
      ASSERT_EQ(std::memcmp(copy, row.data(), width), 0) << "a row that was said to be there";
      if (config_.combine == CombineKind::weighted)
        script_.answer(rows[i].source, g, rows[i].token, rows[i].k,
                       {out + size_t{places[i]} * config_.hidden, config_.hidden});
    }
  }

  void check_columns(uint64_t g, const std::vector<Placed>& rows, const std::vector<uint32_t>& places) {
    const auto& widths = attention_.publisher().layout().shape().column_bytes;
    for (uint32_t c = 0; c < widths.size(); ++c) {
      if (c == columns_.experts || c == columns_.weights) continue;
      const size_t stride = widths[c] + 5;
      Guarded expanded(most_places(config_) * stride);
      expanded.repaint();
      std::vector<std::byte> before(expanded.data(), expanded.data() + most_places(config_) * stride);
      expert_.expand(g, c, expanded.data(), stride);
      std::vector<std::byte> row(widths[c]);
      for (size_t i = 0; i < rows.size(); ++i) {
        script_.payload(rows[i].source, g, c, rows[i].token, row);
        std::memcpy(before.data() + places[i] * stride, row.data(), row.size());
        const std::byte* in_place = expert_.rounds().subscriber(rows[i].source).column(g, c) +
                                    size_t{expert_.grouping(g).row[places[i]]} * widths[c];
        ASSERT_EQ(std::memcmp(in_place, row.data(), row.size()), 0) << "column " << c;
      }
      ASSERT_EQ(std::memcmp(expanded.data(), before.data(), before.size()), 0)
          << "column " << c << ": places that no row has, and the room between rows, are not written";
    }
  }

  void answer_in_place(uint64_t g, const std::vector<Placed>& rows, const std::vector<uint32_t>& places) {
    auto* out = reinterpret_cast<uint16_t*>(expert_.replies().column(g, 0));
    for (size_t i = 0; i < rows.size(); ++i)
      script_.answer(rows[i].source, g, rows[i].token, rows[i].k,
                     {out + size_t{places[i]} * config_.hidden, config_.hidden});
  }

  void answer_sums(uint64_t g, const std::vector<Placed>& rows, const std::vector<uint32_t>& places) {
    if (plan_.rows) {  // a row for each that was sent, by source and token
      auto sorted = rows;
      std::sort(sorted.begin(), sorted.end(), [](const Placed& a, const Placed& b) {
        return std::tie(a.source, a.token) < std::tie(b.source, b.token);
      });
      const auto end = std::unique(sorted.begin(), sorted.end(), [](const Placed& a, const Placed& b) {
        return a.source == b.source && a.token == b.token;
      });
      ASSERT_EQ(static_cast<uint32_t>(end - sorted.begin()), expert_.taken(g));
      auto* out = reinterpret_cast<uint16_t*>(expert_.replies().column(g, 0));
      const uint32_t width = expert_.rounds().subscriber(0).layout().shape().column_bytes[0];
      Guarded gathered(size_t{expert_.taken(g)} * width + 1);
      gathered.repaint();
      expert_.gather(g, 0, gathered.data());
      std::vector<std::byte> row(width);
      for (auto it = sorted.begin(); it != end; ++it, out += config_.hidden) {
        script_.answer(it->source, g, it->token, number_, {out, config_.hidden});
        script_.payload(it->source, g, 0, it->token, row);
        ASSERT_EQ(std::memcmp(gathered.data() + size_t(it - sorted.begin()) * width, row.data(), width), 0);
      }
      ASSERT_TRUE(gathered.intact_beyond(size_t{expert_.taken(g)} * width));
      return;
    }
    std::vector<uint16_t> outputs(most_places(config_) * config_.hidden, 0x7FC1);
    for (size_t i = 0; i < rows.size(); ++i)
      script_.answer(rows[i].source, g, rows[i].token, rows[i].k,
                     {outputs.data() + size_t{places[i]} * config_.hidden, config_.hidden});
    expert_.reduce(g, outputs.data());
  }

  void publish_reply(uint64_t g) {
    const uint32_t rows = expert_.reply_rows(g);
    uint32_t final_rows = plan_.stream ? random_.below(rows + 1) : rows;
    for (;;) {
      ASSERT_EQ(expert_.reply(g, final_rows), Code::ok);
      if (final_rows == rows) break;
      final_rows = random_.between(final_rows + 1, rows);
    }
    ASSERT_FALSE(expert_.holds(g));
    ASSERT_EQ(expert_.reply(g, rows), Code::state);
  }

  // What ranks made of their experts' outputs, summed in the order of the ranks.
  std::vector<float> summed(const ScriptedRound& round, uint64_t g, uint32_t token) const {
    std::vector<float> sum(config_.hidden);
    std::vector<uint16_t> row(config_.hidden);
    bool first = true;
    for (uint32_t r = 0; r < config_.ffn; ++r) {
      std::vector<float> partial(config_.hidden);
      bool any = false;
      for (uint32_t k = 0; k < config_.top_k; ++k) {
        const int32_t e = round.experts[token * config_.top_k + k];
        if (e < 0) continue;
        const auto ranks = config_.placement.of(static_cast<uint32_t>(e));
        if (ranks[(token + number_) % ranks.size()] != r) continue;
        script_.answer(number_, g, token, k, row);
        const float w = round.weights[token * config_.top_k + k];
        for (uint32_t h = 0; h < config_.hidden; ++h)
          partial[h] = any ? partial[h] + w * widen(row[h]) : w * widen(row[h]);
        any = true;
      }
      if (!any) continue;
      if (plan_.rows) script_.answer(number_, g, token, r, row);
      for (uint32_t h = 0; h < config_.hidden; ++h) {
        const float rounded = plan_.rows ? widen(row[h]) : widen(narrow(partial[h]));
        sum[h] = first ? rounded : sum[h] + rounded;
      }
      first = false;
    }
    return sum;
  }

  void combine() {
    const uint64_t g = ++combined_;
    out_.repaint();
    Combine& combine = attention_.combine(g);
    combine.aim(out_.data(), false);
    combine.rearm(deadline_after_ms(kHungMs));
    const Code code = wait_for(*rank_.endpoint, combine, random_.chance(plan_.in_service_percent));
    attention_.finish(g, code);
    ASSERT_EQ(code, Code::ok) << "rank " << number_ << " round " << g << " blames " << combine.blamed;
    const ScriptedRound round = script_.round(number_, g);
    const size_t bytes = size_t{round.rows} * config_.hidden * 2;
    ASSERT_TRUE(out_.intact_beyond(bytes));
    for (uint32_t t = 0; t < round.rows; ++t) {
      const auto want = config_.combine == CombineKind::weighted
                            ? script_.combined(round, number_, g, t, std::vector<bool>(config_.ffn))
                            : summed(round, g, t);
      for (uint32_t h = 0; h < config_.hidden; ++h) {
        uint16_t got;
        std::memcpy(&got, out_.data() + (size_t{t} * config_.hidden + h) * 2, 2);
        ASSERT_EQ(got, narrow(want[h]))
            << "rank " << number_ << " round " << g << " token " << t << " channel " << h;
      }
    }
    results[g - 1].assign(out_.data(), out_.data() + bytes);
  }
};

using Results = std::vector<std::vector<std::vector<std::byte>>>;

Results run(const std::string& transport, const ExchangeConfig& config, const Plan& plan, uint64_t seed,
            uint64_t schedule) {
  EXPECT_EQ(config.check().code, Code::ok) << config.check().what;
  auto mesh = TestMesh::make(transport, config);
  if (!mesh) {
    ADD_FAILURE() << mesh.error().what;
    return {};
  }
  std::vector<Canaries> canaries;
  const auto& arena = *(*mesh)->plan.arena;
  for (Rank& rank : (*mesh)->attention) {
    canaries.emplace_back(arena.dispatch(), rank.endpoint->arena().data() + arena.dispatch_at());
    canaries.emplace_back(arena.reply(), rank.endpoint->arena().data() + arena.reply_at(0));
  }
  const Script script(config, seed);
  std::vector<std::unique_ptr<ExpertDriver>> drivers;
  for (uint32_t r = 0; r < config.attention; ++r)
    drivers.push_back(std::make_unique<ExpertDriver>((*mesh)->attention[r], r, script, plan, schedule));
  {
    std::vector<std::jthread> threads;
    for (auto& driver : drivers) threads.emplace_back([&driver] { driver->run(); });
  }
  for (const Canaries& canary : canaries) EXPECT_TRUE(canary.intact());
  Results results;
  for (auto& driver : drivers) results.push_back(std::move(driver->results));
  return results;
}

ExchangeConfig random_config(Random& random) {
  ExchangeConfig config = expert_config(random);
  config.hidden = random.between(1, 300);
  config.depth = random.between(2, 5);
  constexpr RowType kTypes[] = {RowType::bf16, RowType::fp8e4m3, RowType::f32, RowType::u8};
  config.dispatch = kTypes[random.below(4)];
  config.extra_columns.resize(random.below(3), 7);
  config.meta_capacity = random.below(100);
  if (random.chance(40)) {
    config.combine = CombineKind::sum;
    config.expert_rows = 0;
  }
  // Nobody chooses an expert twice where there is no place for that.
  if (config.expert_rows > 0) config.top_k = 1;
  return config;
}

using ExpertRounds = OnTransports;

TEST_P(ExpertRounds, ArriveInOrderAndCombineExactly) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < scaled(20); ++i) {
    const auto config = random_config(random);
    const Plan plan{30, random.chance(40), random.chance(50), random.chance(50),
                    random.chance(50) ? 50u : 0u};
    SCOPED_TRACE("ranks " + std::to_string(config.attention) + " experts " + std::to_string(config.experts) +
                 " hidden " + std::to_string(config.hidden));
    run(GetParam(), config, plan, random.next(), random.next());
    if (HasFailure()) return;
  }
}

TEST_P(ExpertRounds, ARankAloneServesItself) {
  const Seed seed;
  run(GetParam(), symmetric(1, 3, 5), {}, seed.value, seed.value);
}

TEST_P(ExpertRounds, AllRowsMayGoToOneExpert) {
  const Seed seed;
  auto config = symmetric(3, 7, 9);
  config.placement = {};
  for (uint32_t e = 0; e < config.experts; ++e) config.placement.add(2);
  run(GetParam(), config, {}, seed.value, seed.value);
}

// Rows that lie in the heads of slots, choices and all.
TEST_P(ExpertRounds, RowsMayBeInline) {
  const Seed seed;
  Random random(seed.value);
  auto config = symmetric(3, 5, 2);
  config.dispatch = RowType::u8;
  config.hidden = 4;
  ASSERT_TRUE(dispatch_layout(config).rows_in_heads());
  for (const bool blocks : {false, true})
    run(GetParam(), config, {60, true, false, blocks, 30}, random.next(), random.next());
}

WEFT_ON_TRANSPORTS(ExpertRounds);

TEST(ExpertTransports, GiveTheSameBytes) {
  const Seed seed;
  Random random(seed.value);
  for (int i = 0; i < 6; ++i) {
    const auto config = random_config(random);
    const uint64_t data = random.next();
    std::vector<Results> results;
    for (const std::string& transport : every_transport()) {
      if (!find_transport(transport)->unavailable().empty()) continue;
      results.push_back(
          run(transport, config, {20, random.chance(50), false, random.chance(50)}, data, random.next()));
      if (HasFailure()) return;
    }
    for (const auto& other : results) EXPECT_EQ(results[0], other);
  }
}

}  // namespace
}  // namespace weft::test
