#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "support/drive.h"
#include "support/later.h"

namespace weft::test {

FfnDriver::FfnDriver(Rank& rank, uint32_t number, const Script& script, const Traffic& traffic, uint64_t seed)
    : rank_(rank),
      side_(*rank.ffn),
      number_(number),
      script_(script),
      traffic_(traffic),
      random_(mix(seed, 1000 + number)),
      columns_(dispatch_columns(script.config())) {}

void FfnDriver::run() {
  while (!testing::Test::HasFailure()) {
    if (tasks_.empty() || random_.chance(30)) {
      if (!collect(tasks_.empty())) return;
      continue;
    }
    const size_t i = random_.below(static_cast<uint32_t>(tasks_.size()));
    if (work(tasks_[i]))
      tasks_.erase(tasks_.begin() + static_cast<ptrdiff_t>(i));
    else
      std::this_thread::yield();
  }
}

bool FfnDriver::collect(bool wait) {
  Collect& collect = side_.collect();
  // While parts are held back only what is there may be asked for: attention ranks may wait for the parts.
  const auto gather = static_cast<Gather>(wait ? random_.below(3) : 0);
  const uint32_t sources = script_.config().attention;
  collect.aim(gather, random_.between(1, sources), 500'000, traffic_.stream, false);
  // 'all' may wait for a rank that waits for none of us: give up now and then, as a caller with a deadline
  // would.
  const double patience_ms = !wait ? 0 : gather == Gather::all ? 2 : kPatienceMs;
  collect.rearm(deadline_after_ms(patience_ms));
  const Code code = wait_for(*rank_.endpoint, collect, wait && random_.chance(traffic_.in_service_percent));
  if (code == Code::unavailable) return false;
  if (code == Code::deadline) {
    EXPECT_NE(patience_ms, kPatienceMs) << "ffn " << number_ << " has waited in vain";
    return true;
  }
  EXPECT_EQ(code, Code::ok) << "ffn " << number_ << " blames " << collect.blamed;
  for (const uint32_t a : collect.ranks()) {
    Task task{a, side_.collected(a), script_.round(a, side_.collected(a)), {}};
    task.taken = script_.taken(task.round, number_);
    check_head(task);
    tasks_.push_back(std::move(task));
  }
  return true;
}

void FfnDriver::check_head(const Task& task) {
  const Part& part = side_.part(task.attention, task.generation);
  ASSERT_EQ(part.view.generation, task.generation);
  ASSERT_EQ(part.view.rows, task.round.rows);
  ASSERT_EQ(part.view.tag, task.round.tag);
  ASSERT_EQ(part.view.meta_bytes, task.round.meta.size());
  const auto& rounds = side_.subscriber(task.attention);
  const std::byte* meta = rounds.base() + rounds.layout().meta(rounds.layout().slot_of(task.generation));
  if (!task.round.meta.empty()) {
    ASSERT_EQ(std::memcmp(meta, task.round.meta.data(), task.round.meta.size()), 0);
  }
  ASSERT_EQ(part.view.taken, task.taken.size());
  for (uint32_t i = 0; i < part.view.taken; ++i) {
    ASSERT_EQ(part.token_of[i], task.taken[i]);
    ASSERT_EQ(part.row_of[i], rounds.packs_rows() ? i : task.taken[i]);
  }
}

void FfnDriver::check_rows(Task& task, uint32_t to) {
  const Part& part = side_.part(task.attention, task.generation);
  const auto& rounds = side_.subscriber(task.attention);
  const auto& widths = rounds.layout().shape().column_bytes;
  std::vector<std::byte> want;
  for (uint32_t c = 0; c < widths.size(); ++c) {
    const std::byte* column = rounds.column(task.generation, c);
    want.resize(widths[c]);
    for (uint32_t i = task.checked; i < to; ++i) {
      const uint32_t token = task.taken[i];
      if (c == columns_.experts)
        std::memcpy(want.data(), &task.round.experts[token * script_.config().top_k], widths[c]);
      else if (c == columns_.weights)
        std::memcpy(want.data(), &task.round.weights[token * script_.config().top_k], widths[c]);
      else
        script_.payload(task.attention, task.generation, c, token, want);
      ASSERT_EQ(std::memcmp(column + size_t{part.row_of[i]} * widths[c], want.data(), widths[c]), 0)
          << "attention " << task.attention << " generation " << task.generation << " column " << c
          << " token " << token;
    }
  }
  task.checked = to;
}

void FfnDriver::check_selections(const Task& task) {
  ASSERT_EQ(side_.select(task.attention, task.generation), Code::ok);
  const Part& part = side_.part(task.attention, task.generation);
  const auto want = script_.selections(task.round, number_);
  ASSERT_EQ(part.selections.count, want.size());
  for (uint32_t i = 0; i < want.size(); ++i) {
    const auto at =
        std::lower_bound(task.taken.begin(), task.taken.end(), want[i].token) - task.taken.begin();
    ASSERT_EQ(part.selections.row[i], part.row_of[static_cast<size_t>(at)]);
    ASSERT_EQ(part.selections.expert[i], want[i].expert);
    ASSERT_EQ(part.selections.k[i], want[i].k);
  }
}

void FfnDriver::write_row(const Task& task, uint32_t row) {
  const auto& config = script_.config();
  const auto& replies = side_.publisher(task.attention);
  const uint32_t width = replies.layout().shape().column_bytes[0];
  std::byte* to = replies.column(task.generation, 0) + size_t{row} * width;
  std::vector<uint16_t> y(config.hidden);
  if (config.combine == CombineKind::none) {
    script_.free_row(task.attention, task.generation, number_, row, {to, width});
  } else {
    const bool weighted = config.combine == CombineKind::weighted;
    const Selection selection = weighted ? script_.selections(task.round, number_)[row] : Selection{};
    script_.answer(task.attention, task.generation, weighted ? selection.token : task.taken[row],
                   weighted ? selection.k : number_, y);
    std::memcpy(to, y.data(), width);
  }
}

bool FfnDriver::work(Task& task) {
  const auto& config = script_.config();
  const uint32_t taken = static_cast<uint32_t>(task.taken.size());
  const uint32_t there = side_.available(task.attention, task.generation);
  EXPECT_LE(there, taken);
  if (there > task.checked) check_rows(task, there);
  const bool complete = there == taken;
  if (complete && columns_.experts != kNoColumn) check_selections(task);
  if (!complete && config.combine != CombineKind::sum) return false;
  const uint32_t rows = script_.reply_rows(task.round, task.attention, task.generation, number_);
  uint32_t ready = config.combine == CombineKind::sum ? there : rows;
  if (ready == rows && !complete) return false;
  if (traffic_.stream && random_.chance(70)) ready = random_.between(task.published, ready);
  for (uint32_t row = task.published; row < ready; ++row) write_row(task, row);
  task.published = ready;
  EXPECT_EQ(side_.reply(task.attention, task.generation, rows, ready), Code::ok);
  return ready == rows;
}

std::vector<uint64_t> drive(TestMesh& mesh, const Script& script, const Traffic& traffic, uint64_t seed) {
  std::vector<std::vector<uint64_t>> digests(mesh.attention.size());
  {
    std::vector<std::jthread> threads;
    for (uint32_t f = 0; f < mesh.ffn.size(); ++f)
      threads.emplace_back([&, f] { FfnDriver(mesh.ffn[f], f, script, traffic, seed).run(); });
    for (uint32_t a = 0; a < mesh.attention.size(); ++a)
      threads.emplace_back([&, a] {
        AttentionDriver driver(mesh.attention[a], a, script, traffic, seed);
        driver.run();
        digests[a] = driver.digests();
        mesh.attention[a].endpoint->close();
      });
  }
  std::vector<uint64_t> all;
  for (const auto& some : digests) all.insert(all.end(), some.begin(), some.end());
  return all;
}

}  // namespace weft::test
