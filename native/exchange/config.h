// What all members of an exchange agree on, and the memory layout that follows from it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
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
  CombineKind combine = CombineKind::sum;
  uint32_t experts = 0;  // 0: rows carry no expert choice
  uint32_t top_k = 0;
  std::vector<uint32_t> placement;  // expert -> ffn rank
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
wire::PublicationLayout dispatch_layout(const ExchangeConfig& config);
wire::PublicationLayout reply_layout(const ExchangeConfig& config);

// Where publications lie in an arena. An attention rank has one, number 0; a ffn rank has one for each
// attention rank, by its rank. The user's heap comes behind them.
size_t publication_offset(const wire::PublicationLayout& layout, uint32_t publication);
size_t heap_offset(const wire::PublicationLayout& layout, uint32_t publications);

}  // namespace weft
