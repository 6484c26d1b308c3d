// What all members of an exchange agree on, and the memory layout that follows from it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "exchange/placement.h"
#include "wire/publication.h"

namespace weft {

enum class RowType : uint8_t { u8 = 0, bf16, fp8e4m3, f32 };
enum class CombineKind : uint8_t { sum = 0, weighted, none };

constexpr uint32_t kScaleGroup = 128;  // channels that share an FP8 scale

struct ExchangeConfig {
  uint32_t attention = 1;  // M
  uint32_t ffn = 1;        // N
  uint32_t hidden = 0;
  uint32_t max_tokens = 0;
  uint32_t depth = 3;
  RowType dispatch = RowType::bf16;
  bool power_of_two_scales = false;
  bool routed = false;
  // Expert parallelism: each member is on both sides, member i attention rank i and ffn rank i. Rounds are
  // routed and in step: every rank publishes each of them, and replies once, to all (grouping.h).
  bool symmetric = false;
  CombineKind combine = CombineKind::sum;
  uint32_t experts = 0;  // 0: rows carry no expert choice
  uint32_t top_k = 0;
  Placement placement;
  // Symmetric: what a rank is sent lies expert by expert, each beginning at a multiple of `expert_alignment`
  // rows, or, when `expert_rows` is not 0, `expert_rows` behind the one before it.
  uint32_t expert_alignment = 1;
  uint32_t expert_rows = 0;
  uint32_t meta_capacity = 256;
  std::vector<uint32_t> extra_columns;  // bytes per row

  // The first thing wrong with it; code ok when nothing is.
  Error check() const;
};

// Column numbers of the dispatch publication; kNoColumn where the configuration has none.
constexpr uint32_t kNoColumn = UINT32_MAX;
struct DispatchColumns {
  uint32_t hidden = 0;
  uint32_t scales = kNoColumn;
  uint32_t experts = kNoColumn;
  uint32_t weights = kNoColumn;
  uint32_t first_extra = 0;
};

DispatchColumns dispatch_columns(const ExchangeConfig& config);
// Whether routing follows from the choices, so that they lead: all of them are there when a round begins.
inline bool choices_lead(const ExchangeConfig& config) {
  return config.routed || (config.experts > 0 && config.combine == CombineKind::weighted);
}
wire::PublicationLayout dispatch_layout(const ExchangeConfig& config);
wire::PublicationLayout reply_layout(const ExchangeConfig& config);
size_t publication_offset(const wire::PublicationLayout& layout, uint32_t publication);

// The type of rows that ffn ranks reply.
RowType reply_type(const ExchangeConfig& config);
// Symmetric: experts that a rank has at most, and places for the rows that it can be sent.
uint32_t most_experts(const ExchangeConfig& config);
uint64_t most_places(const ExchangeConfig& config);

}  // namespace weft
