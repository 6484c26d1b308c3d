// Whole rounds over every transport: M x N, every kind of dispatch and combine, several rounds in flight,
// combined in any order, held back and replied to in any order; checked on both sides against the script.
#include <gtest/gtest.h>

#include "support/canaries.h"
#include "support/configs.h"
#include "support/drive.h"
#include "support/scale.h"
#include "support/transports.h"

namespace weft::test {
namespace {

// Paints what the layouts leave free: in every arena and, where a transport has them, in the mirrors.
std::vector<Canaries> paint(TestMesh& mesh) {
  std::vector<Canaries> all;
  const auto& plan = mesh.plan;
  for (Rank& rank : mesh.attention) {
    all.emplace_back(*plan.dispatch, rank.endpoint->arena().data() + publication_offset(*plan.dispatch, 0));
    for (uint32_t f = 0; f < plan.config.ffn; ++f)
      if (Link& link = rank.endpoint->link(f); link.packs_rows())
        all.emplace_back(*plan.reply, const_cast<std::byte*>(link.inbound(0)));
  }
  for (Rank& rank : mesh.ffn)
    for (uint32_t a = 0; a < plan.config.attention; ++a) {
      all.emplace_back(*plan.reply, rank.endpoint->arena().data() + publication_offset(*plan.reply, a));
      if (Link& link = rank.endpoint->link(a); link.packs_rows())
        all.emplace_back(*plan.dispatch, const_cast<std::byte*>(link.inbound(0)));
    }
  return all;
}

void run(const std::string& transport, const ExchangeConfig& config, const Traffic& traffic, uint64_t seed) {
  ASSERT_EQ(config.check().code, Code::ok) << config.check().what;
  auto mesh = TestMesh::make(transport, config);
  ASSERT_TRUE(mesh) << mesh.error().what;
  const auto canaries = paint(**mesh);
  drive(**mesh, Script(config, seed), traffic, seed);
  for (const Canaries& canary : canaries) EXPECT_TRUE(canary.intact());
}

using Parameters = std::tuple<std::string, Shape, Kind>;
class Rounds : public testing::TestWithParam<Parameters> {};

std::string name(const testing::TestParamInfo<Parameters>& info) {
  const auto& [transport, shape, kind] = info.param;
  return transport + "_" + name_of(shape) + "_" + kind.name;
}

TEST_P(Rounds, WholeRoundsArriveAndCombineExactly) {
  const auto& [transport, shape, kind] = GetParam();
  const Seed seed;
  Random random(seed.value);
  run(transport, config_of(kind, shape, 96, 9, random.between(2, 5)), {.rounds = scaled(60)}, seed.value);
}

TEST_P(Rounds, StreamedRoundsArriveAndCombineExactly) {
  const auto& [transport, shape, kind] = GetParam();
  const Seed seed;
  Random random(seed.value);
  run(transport, config_of(kind, shape, 24, 17, random.between(2, 5)), {.rounds = scaled(60), .stream = true},
      seed.value);
}

TEST_P(Rounds, WaitsLeftToTheServiceThreadEndToo) {
  const auto& [transport, shape, kind] = GetParam();
  const Seed seed;
  run(transport, config_of(kind, shape, 33, 5, 3),
      {.rounds = scaled(60), .stream = false, .f32 = true, .in_service_percent = 50}, seed.value);
}

INSTANTIATE_TEST_SUITE_P(Transports, Rounds,
                         testing::Combine(testing::ValuesIn(process_transports()),
                                          testing::Values(Shape{1, 1}, Shape{2, 2}, Shape{3, 2}, Shape{2, 3},
                                                          Shape{1, 4}, Shape{4, 1}),
                                          testing::ValuesIn(kKinds)),
                         name);
INSTANTIATE_TEST_SUITE_P(Loopback, Rounds,
                         testing::Combine(testing::Values("loopback"), testing::Values(Shape{2, 3}),
                                          testing::ValuesIn(kKinds)),
                         name);

class Sizes : public testing::TestWithParam<std::tuple<std::string, uint32_t>> {};

TEST_P(Sizes, RowsOfAnyWidthArriveAndCombineExactly) {
  const auto& [transport, hidden] = GetParam();
  const Seed seed;
  for (const Kind& kind : kKinds)
    for (const uint32_t max_tokens : {1u, 6u}) {
      SCOPED_TRACE(std::string(kind.name) + " max_tokens " + std::to_string(max_tokens));
      auto config = config_of(kind, {2, 2}, hidden, max_tokens, 2);
      config.meta_capacity = max_tokens == 1 ? 0 : 65'535;
      run(transport, config, {.rounds = scaled(8), .stream = hidden == 129}, seed.value);
      if (HasFailure()) return;
    }
}

INSTANTIATE_TEST_SUITE_P(Transports, Sizes,
                         testing::Combine(testing::ValuesIn(process_transports()),
                                          testing::Values(1u, 7u, 96u, 129u, 7168u)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::to_string(std::get<1>(info.param));
                         });

using AnyConfig = OnTransports;

TEST_P(AnyConfig, RandomConfigurationsWork) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < scaled(16); ++i) {
    Kind kind = kKinds[random.below(std::size(kKinds))];
    const Shape shape{random.between(1, 4), random.between(1, 4)};
    auto config = config_of(kind, shape, random.between(1, 300), random.between(1, 40), random.between(2, 6));
    config.meta_capacity = random.below(300);
    config.extra_columns.resize(random.below(3));
    const Traffic traffic{30, random.chance(50), random.chance(50), random.below(101)};
    SCOPED_TRACE(std::string(kind.name) + " " + name_of(shape) + " hidden " + std::to_string(config.hidden));
    run(GetParam(), config, traffic, random.next());
    if (HasFailure()) return;
  }
}

TEST_P(AnyConfig, ManyColumnsAreMoreThanOneGatherListHolds) {
  const Seed seed;
  auto config = config_of(kKinds[1], {2, 2}, 16, 40, 3);
  config.extra_columns.assign(30, 3);
  run(GetParam(), config, {.rounds = scaled(20), .stream = true}, seed.value);
}

WEFT_OVER(process_transports(), AnyConfig);

TEST(Transports, GiveTheSameBytes) {
  const Seed seed;
  for (const Kind& kind : kKinds) {
    const auto config = config_of(kind, {3, 2}, 200, 12, 3);
    const Script script(config, seed.value);
    std::vector<std::vector<uint64_t>> digests;
    for (const std::string& transport : every_transport()) {
      if (!find_transport(transport)->unavailable().empty()) continue;
      auto mesh = TestMesh::make(transport, config);
      ASSERT_TRUE(mesh) << mesh.error().what;
      // The schedules differ; the results may not.
      digests.push_back(drive(**mesh, script, {.rounds = scaled(40)}, mix(seed.value, digests.size())));
    }
    for (const auto& other : digests) EXPECT_EQ(digests[0], other) << kind.name;
  }
}

}  // namespace
}  // namespace weft::test
