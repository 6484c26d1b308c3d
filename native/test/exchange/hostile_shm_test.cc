// A peer that writes nonsense into its own arena: the reader gets a protocol error that names it, nothing
// else comes to harm, and the other ranks go on.
#include <gtest/gtest.h>

#include <functional>

#include "support/steps.h"

namespace weft::test {
namespace {

class HostileShm : public testing::Test {
 protected:
  // M = 2, N = 1, routed, 8 rows, depth 2.
  HostileShm() : steps("shm", hostile_config()), layout(*steps.mesh->plan.dispatch) {}

  static ExchangeConfig hostile_config() {
    auto config = config_of(kKinds[1], {2, 1}, 8, 8, 2);
    config.meta_capacity = 10;
    return config;
  }
  std::byte* base(uint32_t a) {
    return steps.attention_endpoint(a).arena().data() + publication_offset(layout, 0);
  }
  wire::SlotHead& head(uint32_t a, uint64_t g) { return layout.head_of(base(a), layout.slot_of(g)); }
  wire::RowList& list(uint32_t a, uint64_t g) { return layout.list_of(base(a), layout.slot_of(g), 0); }
  // A good round of 4 rows, of which rank 0 takes 0, 1, 3, but for what `spoil` makes of it before it is
  // published.
  void publish(uint32_t a, uint64_t g,
               const std::function<void(wire::SlotHead&, wire::RowList&, uint64_t&)>& spoil) {
    wire::SlotHead& h = head(a, g);
    wire::RowList& l = list(a, g);
    h.rows = 4;
    h.meta_bytes = 0;
    h.flags = wire::kRouted;
    l.count = 3;
    l.rows[0] = 0;
    l.rows[1] = 1;
    l.rows[2] = 3;
    uint64_t state = wire::state_word(g, 4);
    spoil(h, l, state);
    h.state.store(state, std::memory_order_release);
    steps.attention_endpoint(a).link(0).publish({});  // rings
  }
  void expect_refused(const std::function<void(wire::SlotHead&, wire::RowList&, uint64_t&)>& spoil) {
    publish(0, 1, spoil);
    EXPECT_EQ(steps.collect(0), Code::protocol);
    EXPECT_EQ(steps.ffn(0).collect().blamed, 0);
  }
  using Head = wire::SlotHead;
  using List = wire::RowList;

  Steps steps;
  const wire::PublicationLayout& layout;
};

TEST_F(HostileShm, AGoodRoundMadeByHandIsTaken) {
  publish(0, 1, [](Head&, List&, uint64_t&) {});
  EXPECT_EQ(steps.collect(0), Code::ok);
}
TEST_F(HostileShm, MoreRowsThanAgreedAreRefused) {
  expect_refused([](Head& h, List&, uint64_t&) { h.rows = 9; });
}
TEST_F(HostileShm, RowsBeyondAllBoundsAreRefused) {
  expect_refused([](Head& h, List&, uint64_t&) { h.rows = UINT32_MAX; });
}
TEST_F(HostileShm, MoreFinalRowsThanRowsAreRefused) {
  expect_refused([](Head&, List&, uint64_t& state) { state = wire::state_word(1, 5); });
}
TEST_F(HostileShm, MoreMetadataThanAgreedIsRefused) {
  expect_refused([](Head& h, List&, uint64_t&) { h.meta_bytes = 11; });
}
TEST_F(HostileShm, AListLongerThanTheRoundIsRefused) {
  expect_refused([](Head&, List& l, uint64_t&) { l.count = 5; });
}
TEST_F(HostileShm, AListLongerThanMemoryIsRefused) {
  expect_refused([](Head&, List& l, uint64_t&) { l.count = UINT32_MAX; });
}
TEST_F(HostileShm, AListOutOfRangeIsRefused) {
  expect_refused([](Head&, List& l, uint64_t&) { l.rows[2] = 4; });
}
TEST_F(HostileShm, AListThatDoesNotAscendIsRefused) {
  expect_refused([](Head&, List& l, uint64_t&) { l.rows[2] = 1; });
}
TEST_F(HostileShm, AJumpOfGenerationsIsRefused) {
  expect_refused([](Head&, List&, uint64_t& state) { state = wire::state_word(3, 4); });
}
TEST_F(HostileShm, AStateWordOfAllOnesIsRefused) {
  expect_refused([](Head&, List&, uint64_t& state) { state = UINT64_MAX; });
}

TEST_F(HostileShm, ListsWhereNoneWereAgreedAreRefused) {
  Steps plain("shm", plain_config({1, 1}));
  const auto& all = *plain.mesh->plan.dispatch;
  auto* memory = plain.attention_endpoint(0).arena().data() + publication_offset(all, 0);
  wire::SlotHead& h = all.head_of(memory, all.slot_of(1));
  h.rows = 1;
  h.flags = wire::kRouted;
  h.state = wire::state_word(1, 1);
  plain.attention_endpoint(0).link(0).publish({});
  EXPECT_EQ(plain.collect(0), Code::protocol);
}

// Whichever of the two is looked at first, the good round is not lost.
TEST_F(HostileShm, TheOtherRanksRoundIsNotLost) {
  for (int order = 0; order < 2; ++order) {
    Steps fresh("shm", hostile_config());
    if (order == 1) {  // turns the rotating start by one
      fresh.dispatch(1, 0);
      ASSERT_EQ(fresh.collect(0), Code::ok);
      ASSERT_EQ(fresh.ffn(0).reply(1, 1, 0, 0), Code::ok);
      ASSERT_EQ(fresh.combine(1, 1), Code::ok);
    }
    auto* memory = fresh.attention_endpoint(0).arena().data() + publication_offset(layout, 0);
    wire::SlotHead& h = layout.head_of(memory, layout.slot_of(1));
    h.rows = 4;
    h.flags = wire::kRouted;
    layout.list_of(memory, layout.slot_of(1), 0).count = 2;
    layout.list_of(memory, layout.slot_of(1), 0).rows[0] = 7;
    h.state = wire::state_word(1, 4);
    const uint64_t g = fresh.dispatch(1, 0);
    int errors = 0, rounds = 0;
    for (int i = 0; i < 4; ++i) {
      const Code code = fresh.collect(0, Gather::any, 50);
      errors += code == Code::protocol;
      if (code != Code::ok) continue;
      ASSERT_EQ(fresh.collected(0), std::vector<uint32_t>{1});
      ASSERT_EQ(fresh.ffn(0).reply(1, g, 0, 0), Code::ok);
      ++rounds;
    }
    EXPECT_EQ(errors, 1) << "told once";
    EXPECT_EQ(rounds, 1);
    EXPECT_EQ(fresh.combine(1, g), Code::ok);
  }
}

TEST_F(HostileShm, AWatermarkThatGoesWildWhileStreamingStaysInBounds) {
  publish(0, 1, [](Head&, List&, uint64_t& state) { state = wire::state_word(1, 1); });
  ASSERT_EQ(steps.collect(0, Gather::any, 5000, 1, 0, true), Code::ok);
  FfnSide& ffn = steps.ffn(0);
  EXPECT_EQ(ffn.available(0, 1), 1u);
  for (const uint64_t wild : {wire::state_word(1, 0), wire::state_word(1, 1000), wire::state_word(2, 3),
                              uint64_t{0}, UINT64_MAX, wire::state_word(1, 2)}) {
    head(0, 1).state = wild;
    EXPECT_LE(ffn.available(0, 1), 3u);
    head(0, 1).rows = 500;
    list(0, 1).count = 500;
    EXPECT_LE(ffn.available(0, 1), 3u) << "the copy counts, not what it becomes later";
  }
}

// The other way: a ffn rank's replies.
class HostileReply : public testing::Test {
 protected:
  HostileReply() : steps("shm", plain_config({1, 2}, 8, 2)) {}

  void expect_refused(uint32_t rows, uint64_t state) {
    const auto& layout = *steps.mesh->plan.reply;
    const uint64_t g = steps.dispatch(0, 4);
    ASSERT_EQ(steps.collect(0), Code::ok);
    ASSERT_EQ(steps.reply(0, 0), Code::ok);
    auto* memory = steps.ffn_endpoint(1).arena().data() + publication_offset(layout, 0);
    wire::SlotHead& head = layout.head_of(memory, layout.slot_of(g));
    head.rows = rows;
    head.state = state;
    EXPECT_EQ(steps.combine(0, g), Code::protocol);
    EXPECT_EQ(steps.attention(0).combine(g).blamed, 2);
    EXPECT_TRUE(steps.out.intact_beyond(0)) << "a result was made of it";
  }

  Steps steps;
};

TEST_F(HostileReply, FewerRowsThanWereTakenAreRefused) { expect_refused(3, wire::state_word(1, 3)); }
TEST_F(HostileReply, MoreRowsThanWereTakenAreRefused) { expect_refused(5, wire::state_word(1, 5)); }
TEST_F(HostileReply, MoreRowsThanThereAreIsRefused) { expect_refused(UINT32_MAX, wire::state_word(1, 4)); }
TEST_F(HostileReply, MoreFinalRowsThanRowsAreRefused) { expect_refused(4, wire::state_word(1, 7)); }
TEST_F(HostileReply, AReplyFromTheFutureIsRefused) { expect_refused(4, wire::state_word(3, 4)); }

}  // namespace
}  // namespace weft::test
