// A mesh driven step by step from the test's own thread.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "support/configs.h"
#include "support/guarded.h"
#include "support/test_mesh.h"
#include "support/transports.h"

namespace weft::test {

class Steps {
 public:
  Steps(const std::string& transport, const ExchangeConfig& config, WaitPolicy wait = {})
      : Steps(MeshPlan(transport, config, with_pollers(wait, config))) {}
  explicit Steps(const MeshPlan& plan) {
    const ExchangeConfig& config = plan.config;
    EXPECT_EQ(config.check().code, Code::ok) << config.check().what;
    auto made = TestMesh::make(plan);
    EXPECT_TRUE(made) << made.error().what;
    mesh = std::move(*made);
    out = Guarded(size_t{config.max_tokens} * config.hidden * 4);
  }

  AttentionSide& attention(uint32_t a) { return *mesh->attention[a].attention; }
  FfnSide& ffn(uint32_t f) { return *mesh->ffn[f].ffn; }
  Endpoint& attention_endpoint(uint32_t a) { return *mesh->attention[a].endpoint; }
  Endpoint& ffn_endpoint(uint32_t f) { return *mesh->ffn[f].endpoint; }

  uint64_t claim(uint32_t a) {
    uint64_t generation = 0;
    EXPECT_EQ(attention(a).claim(generation), Code::ok);
    return generation;
  }
  // Row r has r + 1 in every channel.
  void fill(uint32_t a, uint64_t g, uint32_t rows) {
    auto* x = reinterpret_cast<uint16_t*>(attention(a).publisher().column(g, 0));
    const uint32_t hidden = mesh->plan.config.hidden;
    for (uint32_t i = 0; i < rows * hidden; ++i) x[i] = bf16(static_cast<float>(i / hidden + 1));
  }
  // Claims, fills and publishes all rows.
  uint64_t dispatch(uint32_t a, uint32_t rows) {
    const uint64_t g = claim(a);
    fill(a, g, rows);
    EXPECT_EQ(attention(a).publish(g, rows, rows, 0, 0), Code::ok);
    return g;
  }
  Code combine(uint32_t a, uint64_t g, double within_ms = 10'000, bool skip_lost = false) {
    Combine& operation = attention(a).combine(g);
    out.repaint();
    operation.aim(out.data(), false, skip_lost ? OnLoss::skip : OnLoss::error);
    operation.rearm(deadline_after_ms(within_ms));
    const Code code = attention_endpoint(a).wait(operation);
    attention(a).finish(g, code);
    return code;
  }
  Code collect(uint32_t f, Gather gather = Gather::any, double within_ms = 10'000, uint32_t count = 1,
               double gather_ms = 0, bool streamed = false, bool skip_lost = false) {
    Collect& operation = ffn(f).collect();
    operation.aim(gather, count, static_cast<int64_t>(gather_ms * 1e6), streamed, skip_lost);
    operation.rearm(deadline_after_ms(within_ms));
    return ffn_endpoint(f).wait(operation);
  }
  const std::vector<uint32_t>& collected(uint32_t f) { return ffn(f).collect().ranks(); }
  // Makes reply rows [from, to) of the round: each channel has `value` + the input's value.
  void compute(uint32_t f, uint32_t a, uint64_t g, uint32_t from, uint32_t to, float value) {
    const auto* x = reinterpret_cast<const uint16_t*>(ffn(f).subscriber(a).column(g, 0));
    auto* y = reinterpret_cast<uint16_t*>(ffn(f).publisher(a).column(g, 0));
    const uint32_t hidden = mesh->plan.config.hidden;
    for (uint32_t i = from * hidden; i < to * hidden; ++i) y[i] = bf16(f32(x[i]) + value);
  }
  // Computes and replies to what was collected last from an attention rank.
  Code reply(uint32_t f, uint32_t a, float value = 0) {
    const uint64_t g = ffn(f).collected(a);
    const uint32_t rows = ffn(f).part(a, g).view.taken;
    compute(f, a, g, 0, rows, value);
    return ffn(f).reply(a, g, rows, rows);
  }
  float result(uint32_t row) {
    uint16_t y;
    std::memcpy(&y, out.data() + size_t{row} * mesh->plan.config.hidden * 2, 2);
    return f32(y);
  }

  static uint16_t bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<uint16_t>(bits >> 16);  // small integers are exact
  }
  static float f32(uint16_t value) {
    const uint32_t bits = uint32_t{value} << 16;
    float out;
    std::memcpy(&out, &bits, 4);
    return out;
  }

  std::unique_ptr<TestMesh> mesh;
  Guarded out{0};
};

// Mode 'all', combine 'sum', hidden 8.
inline ExchangeConfig plain_config(Shape shape, uint32_t max_tokens = 8, uint32_t depth = 2) {
  auto config = config_of(kKinds[0], shape, 8, max_tokens, depth);
  config.extra_columns.clear();
  return config;
}

}  // namespace weft::test
