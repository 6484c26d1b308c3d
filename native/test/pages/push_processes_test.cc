// Page push between processes, one of which is killed or stopped: the other is told, its memory is its own
// again in bounded time, and nothing that comes later changes it.
#include <gtest/gtest.h>
#include <signal.h>

#include <optional>
#include <thread>

#include "support/process.h"
#include "support/pushing.h"
#include "support/transports.h"

namespace weft::test {
namespace {

constexpr size_t kLeaseBytes = 1 << 20;

// What the writer (attention 0) and the holder (ffn 1) tell each other and the test.
struct Words {
  Board board;
  wire::Ticket ticket;
  std::atomic<uint32_t> has_ticket, holder_stage, writer_stage, go;
  std::atomic<uint64_t> writes;
};

class PushBetweenProcesses : public OnTransports {
 protected:
  // Runs `holds` with the holder's memory and lease, in a child; another writes without end, or until
  // `writes` ends.
  void start(const std::function<void(Rank&, Lease&, std::span<std::byte>)>& holds,
             const std::function<void(Rank&, Push&)>& writes) {
    holder.emplace([this, holds] {
      Rank rank = join(plan, words->board, 1);
      const auto heap = heap_of(plan, rank, 1);
      fill(heap, 2);
      auto lease = Lease::open(*rank.endpoint, 0, heap.first(kLeaseBytes), 1);
      ASSERT_TRUE(lease);
      words->ticket = (*lease)->ticket();
      words->has_ticket = 1;
      holds(rank, **lease, heap);
    });
    writer.emplace([this, writes] {
      Rank rank = join(plan, words->board, 0);
      fill(heap_of(plan, rank, 0), 1);
      ASSERT_TRUE(until([&] { return words->has_ticket == 1; }));
      auto push = Push::open(*rank.endpoint, 0, words->ticket);
      ASSERT_TRUE(push);
      writes(rank, *push);
    });
  }
  // Writes over and over until told otherwise; what it ended by.
  Code write_on(Rank& rank, Push& push) {
    const auto from = heap_of(plan, rank, 0).first(kLeaseBytes / 4);
    while (words->go < 2) {
      const Code code = push.write(0, words->writes % 4 * (kLeaseBytes / 4), from);
      if (code == Code::ok)
        words->writes += 1;
      else if (code == Code::again)
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      else
        return code;
    }
    words->writer_stage = 1;
    return Code::ok;
  }
  static bool untouched(std::span<const std::byte> heap) {
    for (size_t i = 0; i < heap.size(); ++i)
      if (heap[i] != pattern(2, i)) return false;
    return true;
  }
  // The holder's part: something has come, the writer is made to `stop`, the lease ends in time, and the
  // memory stays as it is made then.
  void end_lease(Rank&, Lease& lease, std::span<std::byte> heap) {
    ASSERT_EQ(arrive(lease, 0, 3 * kLeaseBytes), Code::ok);
    words->holder_stage = 1;
    ASSERT_TRUE(until([&] { return words->go >= 1; }));
    const int64_t before = now_ns();
    ASSERT_EQ(lease.end(deadline_after_ms(500)), Code::ok);
    EXPECT_LT(now_ns() - before, 3'000'000'000);
    fill(heap, 2);
    words->holder_stage = 2;
    for (int i = 0; i < 10; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(40));
      ASSERT_TRUE(untouched(heap));
    }
    words->go = 2;
  }

  MeshPlan plan = push_plan(GetParam());
  Shared<Words> words;
  std::optional<Child> holder, writer;
};

TEST_P(PushBetweenProcesses, AKilledWriterWritesNoMore) {
  start([&](Rank& rank, Lease& lease, std::span<std::byte> heap) { end_lease(rank, lease, heap); },
        [&](Rank& rank, Push& push) { write_on(rank, push); });
  ASSERT_TRUE(until([&] { return words->holder_stage == 1; }));
  writer->signal(SIGKILL);
  words->go = 1;
  EXPECT_EQ(holder->wait(), 0);
}

TEST_P(PushBetweenProcesses, AStoppedWriterWritesNothingWhenItGoesOn) {
  start([&](Rank& rank, Lease& lease, std::span<std::byte> heap) { end_lease(rank, lease, heap); },
        [&](Rank& rank, Push& push) { write_on(rank, push); });
  ASSERT_TRUE(until([&] { return words->holder_stage == 1; }));
  writer->signal(SIGSTOP);
  words->go = 1;
  ASSERT_TRUE(until([&] { return words->holder_stage == 2; }));
  writer->signal(SIGCONT);
  EXPECT_EQ(holder->wait(), 0);
  EXPECT_EQ(writer->wait(), 0);
}

TEST_P(PushBetweenProcesses, ALeaseThatEndsBelowARunningWriterIsQuiet) {
  start([&](Rank& rank, Lease& lease, std::span<std::byte> heap) { end_lease(rank, lease, heap); },
        [&](Rank& rank, Push& push) {
          EXPECT_EQ(write_on(rank, push), Code::state);
          EXPECT_EQ(finish(push), Code::ok);
        });
  ASSERT_TRUE(until([&] { return words->holder_stage == 1; }));
  words->go = 1;
  EXPECT_EQ(holder->wait(), 0);
  EXPECT_EQ(writer->wait(), 0);
}

TEST_P(PushBetweenProcesses, AWriterIsToldThatTheHolderWasKilled) {
  start(
      [&](Rank&, Lease& lease, std::span<std::byte>) {
        ASSERT_EQ(arrive(lease, 0, 3 * kLeaseBytes), Code::ok);
        words->holder_stage = 1;
        pause();
      },
      [&](Rank& rank, Push& push) {
        EXPECT_EQ(write_on(rank, push), Code::peer_lost);
        EXPECT_EQ(finish(push, 2000), Code::ok);
      });
  ASSERT_TRUE(until([&] { return words->holder_stage == 1; }));
  holder->signal(SIGKILL);
  EXPECT_EQ(writer->wait(), 0);
}

TEST_P(PushBetweenProcesses, AStoppedHolderHoldsTheWriterUpAndNothingIsLost) {
  start(
      [&](Rank&, Lease& lease, std::span<std::byte> heap) {
        ASSERT_EQ(arrive(lease, 0, kLeaseBytes), Code::ok);
        words->holder_stage = 1;
        ASSERT_TRUE(until([&] { return words->writer_stage == 1; }));
        ASSERT_EQ(arrive(lease, 0, words->writes * (kLeaseBytes / 4)), Code::ok);
        for (size_t i = 0; i < kLeaseBytes; ++i) ASSERT_EQ(heap[i], pattern(1, i % (kLeaseBytes / 4)));
        EXPECT_EQ(lease.arrived(0), words->writes * (kLeaseBytes / 4));
        words->go = 3;
      },
      [&](Rank& rank, Push& push) {
        EXPECT_EQ(write_on(rank, push), Code::ok);
        EXPECT_TRUE(until([&] { return words->go == 3; }));
        EXPECT_EQ(finish(push), Code::ok);
      });
  ASSERT_TRUE(until([&] { return words->holder_stage == 1; }));
  holder->signal(SIGSTOP);
  // The queue fills up.
  uint64_t writes = words->writes;
  ASSERT_TRUE(until([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return writes == std::exchange(writes, words->writes.load());
  }));
  words->go = 2;
  holder->signal(SIGCONT);
  EXPECT_EQ(holder->wait(), 0);
  EXPECT_EQ(writer->wait(), 0);
}

WEFT_OVER(process_transports(), PushBetweenProcesses);

}  // namespace
}  // namespace weft::test
