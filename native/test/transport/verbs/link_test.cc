// What is particular about links over RDMA, on a real device. The suites of all transports run over them too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/drive.h"
#include "support/scale.h"
#include "support/steps.h"

namespace weft::test {
namespace {

class VerbsLinks : public testing::Test {
 protected:
  void SetUp() override { WEFT_WANTS_FABRIC("verbs"); }
  void TearDown() override { unsetenv("WEFT_VERBS_DEVICES"); }
};

// Bodies of this size are worth dividing.
ExchangeConfig large(Shape shape) { return config_of(kKinds[1], shape, 4096, 96, 2); }

TEST_F(VerbsLinks, ARoundIsOneMessageEachWay) {
  Steps steps("verbs", config_of(kKinds[0], {1, 2}, 1024, 16, 3));
  constexpr uint64_t kRounds = 10;
  const auto before = steps.attention_endpoint(0).link(0).traffic();
  for (uint64_t i = 0; i < kRounds; ++i) {
    const uint64_t g = steps.dispatch(0, 16);
    for (uint32_t f = 0; f < 2; ++f) {
      ASSERT_EQ(steps.collect(f), Code::ok);
      ASSERT_EQ(steps.reply(f, 0), Code::ok);
    }
    ASSERT_EQ(steps.combine(0, g), Code::ok);
  }
  for (uint32_t f = 0; f < 2; ++f) {
    const weft::Traffic there = steps.attention_endpoint(0).link(f).traffic();
    const weft::Traffic back = steps.ffn_endpoint(f).link(0).traffic();
    EXPECT_EQ(there.messages - before.messages, kRounds);
    EXPECT_EQ(there.arrivals - before.arrivals, kRounds);
    EXPECT_EQ(back.messages, kRounds);
    EXPECT_EQ(back.arrivals, kRounds);
    // A request for each column and one with the header, but the first two columns lie behind one another.
    // There is one column on the way back.
    EXPECT_EQ(there.requests, kRounds * (1 + 3 + 1 - 1)) << "hidden and three columns of the user";
    EXPECT_EQ(back.requests, kRounds * 2);
  }
}

TEST_F(VerbsLinks, SmallRoundsAreOneRequest) {
  Steps steps("verbs", plain_config({1, 1}));
  const uint64_t g = steps.dispatch(0, 8);
  ASSERT_EQ(steps.collect(0), Code::ok);
  ASSERT_EQ(steps.reply(0, 0), Code::ok);
  ASSERT_EQ(steps.combine(0, g), Code::ok);
  EXPECT_EQ(steps.attention_endpoint(0).link(0).traffic().requests, 1u);
  EXPECT_EQ(steps.ffn_endpoint(0).link(0).traffic().requests, 1u);
}

TEST_F(VerbsLinks, SeveralRailsCarryTheSameBytes) {
  const Seed seed;
  const auto config = large({2, 2});
  const Script script(config, seed.value);
  std::vector<std::vector<uint64_t>> digests;
  for (const char* rails : {"rxe0", "rxe0,rxe0", "rxe0,rxe1,rxe0,rxe1"}) {
    setenv("WEFT_VERBS_DEVICES", rails, 1);
    auto mesh = TestMesh::make("verbs", config);
    ASSERT_TRUE(mesh) << rails << ": " << mesh.error().what;
    digests.push_back(drive(**mesh, script, {.rounds = scaled(60), .stream = true}, seed.value));
    SCOPED_TRACE(rails);
    EXPECT_EQ(digests.back(), digests.front());
  }
}

TEST_F(VerbsLinks, RoundsThatAreWorthItAreDivided) {
  setenv("WEFT_VERBS_DEVICES", "rxe0,rxe0", 1);
  auto config = config_of(kKinds[0], {1, 1}, 4096, 96, 2);
  Steps steps("verbs", config);
  for (const uint32_t rows : {96u, 4u}) {
    const auto before = steps.attention_endpoint(0).link(0).traffic();
    const uint64_t g = steps.dispatch(0, rows);
    ASSERT_EQ(steps.collect(0), Code::ok);
    ASSERT_EQ(steps.reply(0, 0, 1), Code::ok);
    ASSERT_EQ(steps.combine(0, g), Code::ok);
    EXPECT_EQ(steps.attention_endpoint(0).link(0).traffic().messages - before.messages, rows == 96 ? 2u : 1u);
    for (uint32_t row = 0; row < rows; ++row) EXPECT_EQ(steps.result(row), static_cast<float>(row + 2));
  }
}

// The first block rides in the record, on one rail, though the round is divided.
TEST_F(VerbsLinks, ADividedRoundMayBeginSmall) {
  setenv("WEFT_VERBS_DEVICES", "rxe0,rxe0,rxe0", 1);
  auto config = config_of(kKinds[0], {1, 1}, 256, 600, 2);
  config.extra_columns.clear();
  Steps steps(MeshPlan("verbs", config, with_pollers({}, config)));
  for (int i = 0; i < 5; ++i) {
    const uint64_t g = steps.dispatch(0, 600);
    ASSERT_EQ(steps.collect(0), Code::ok);
    uint32_t before = 0;
    for (const uint32_t to : {1u, 2u, 30u, 599u, 600u}) {
      steps.compute(0, 0, g, before, to, static_cast<float>(i));
      ASSERT_EQ(steps.ffn(0).reply(0, g, 600, to), Code::ok);
      before = to;
    }
    ASSERT_EQ(steps.combine(0, g), Code::ok);
    for (const uint32_t row : {0u, 1u, 29u, 100u})
      EXPECT_EQ(steps.result(row), static_cast<float>(row + 1 + i));
  }
}

TEST_F(VerbsLinks, TheWayIsDescribed) {
  setenv("WEFT_VERBS_DEVICES", "rxe1", 1);
  Steps steps("verbs", plain_config({1, 1}));
  EXPECT_THAT(steps.attention_endpoint(0).link(0).describe(),
              testing::AllOf(testing::HasSubstr("rxe1 port 1, GID 1 ::ffff:10.77.0.2 (RoCE v2"),
                             testing::HasSubstr("to ::ffff:10.77.0.2"), testing::HasSubstr("bytes")));
}

TEST_F(VerbsLinks, AWishThatCannotBeIsAnErrorThatNamesIt) {
  setenv("WEFT_VERBS_DEVICES", "rxe7", 1);
  const auto mesh = TestMesh::make("verbs", plain_config({1, 1}));
  ASSERT_FALSE(mesh);
  EXPECT_EQ(mesh.error().code, Code::unavailable);
  EXPECT_THAT(mesh.error().what, testing::HasSubstr("'rxe7' is none of rxe0, rxe1"));
}

// As when a cable is pulled: nobody closes anything, and no packet arrives any more.
struct PulledCable {
  PulledCable() { neighbour("02:00:00:00:00:09"); }
  ~PulledCable() { neighbour("$(cat /sys/class/net/wire1/address)"); }
  static void neighbour(const std::string& at) {
    const std::string command = "ip neigh replace 10.77.0.2 lladdr " + at + " dev wire0 nud permanent";
    EXPECT_EQ(system(command.c_str()), 0);
  }
};

TEST_F(VerbsLinks, AWriteThatFailsEndsTheLinkWithTheStatusOfItsCompletion) {
  MeshPlan plan("verbs", plain_config({1, 1}));
  plan.hosts = {"10.77.0.1", "10.77.0.2"};  // a device each
  Steps steps(plan);
  const auto round = [&] {
    const uint64_t g = steps.dispatch(0, 8);
    EXPECT_EQ(steps.collect(0), Code::ok);
    EXPECT_EQ(steps.reply(0, 0), Code::ok);
    return steps.combine(0, g);
  };
  EXPECT_EQ(round(), Code::ok);
  const PulledCable pulled;
  const uint64_t g = steps.dispatch(0, 8);
  EXPECT_EQ(steps.combine(0, g, 20'000), Code::peer_lost);
  const Link& link = steps.attention_endpoint(0).link(0);
  ASSERT_NE(link.reason(), nullptr);
  EXPECT_THAT(link.reason(), testing::HasSubstr("IBV_WC_RETRY_EXC_ERR"));
}

}  // namespace
}  // namespace weft::test
