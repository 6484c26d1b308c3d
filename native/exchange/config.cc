#include "exchange/config.h"

#include <algorithm>
#include <limits>
#include <string>

#include "memory/arena.h"

namespace weft {

namespace {

uint32_t row_bytes(RowType type, uint32_t width) {
  switch (type) {
    case RowType::u8:
    case RowType::fp8e4m3:
      return width;
    case RowType::bf16:
      return width * 2;
    case RowType::f32:
      return width * 4;
  }
  return 0;
}

Error invalid(std::string what) { return {Code::invalid_argument, Phase::none, kNoPeer, 0, std::move(what)}; }

}  // namespace

Error ExchangeConfig::check() const {
  if (attention == 0 || ffn == 0) return invalid("an exchange needs at least one attention and one ffn rank");
  if (attention > UINT16_MAX || ffn > UINT16_MAX) return invalid("at most 65535 ranks a side");
  if (hidden == 0 || hidden > (1u << 24)) return invalid("hidden must be 1 to 16777216");
  if (max_tokens == 0 || max_tokens > wire::kMaxRows) return invalid("maxTokens must be 1 to 1048575");
  if (depth < 2 || depth > 1024) return invalid("depth must be 2 to 1024");
  if (meta_capacity > UINT16_MAX) return invalid("metaBytes must be at most 65535");
  if ((experts == 0) != (top_k == 0)) return invalid("experts.count and experts.topK go together");
  if (experts > 0) {
    if (top_k > experts) return invalid("experts.topK is larger than experts.count");
    if (experts > kMaxExperts) return invalid("experts.count must be at most 1048576");
    if (placement.experts() != experts) return invalid("experts.placement must name ranks for each expert");
    for (uint32_t e = 0; e < experts; ++e) {
      const auto ranks = placement.of(e);
      if (ranks.empty() || ranks.size() > kMaxReplicas)
        return invalid("experts.placement must name 1 to 2048 ranks for each expert");
      for (const uint32_t rank : ranks)
        if (rank >= ffn) return invalid("experts.placement names rank " + std::to_string(rank));
    }
    if (uint64_t{max_tokens} * top_k > wire::kMaxRows)
      return invalid("maxTokens * topK must be at most 1048575");
  }
  if ((routed || combine == CombineKind::weighted) && experts == 0)
    return invalid("mode 'routed' and combine 'weighted' need experts");
  if (symmetric) {
    if (attention != ffn) return invalid("a symmetric exchange has one number of ranks");
    if (!routed || combine == CombineKind::none)
      return invalid("a symmetric exchange is routed, and combines 'sum' or 'weighted'");
    if (expert_alignment == 0 || expert_alignment > wire::kMaxRows)
      return invalid("experts.alignment must be 1 to 1048575");
    if (expert_rows % attention != 0) return invalid("experts.rows must be a multiple of the ranks");
    if (expert_rows > 0 && expert_alignment != 1)
      return invalid("experts.alignment is for packing 'compact'");
    // There are arrays of them, and views of as many rows.
    constexpr uint64_t kMostPlaces = uint64_t{1} << 24, kMostElements = std::numeric_limits<uint32_t>::max();
    const bool weighted = combine == CombineKind::weighted;
    const uint64_t replied = weighted ? most_places(*this) : uint64_t{attention} * max_tokens;
    if (replied > wire::kMaxRows)
      return invalid("a rank may have to reply more than 1048575 rows in a round");
    if (most_places(*this) > kMostPlaces || most_places(*this) * hidden > kMostElements)
      return invalid(
          "a rank may be sent more rows in a round than there is room for: 16777216, and 4294967295 "
          "elements");
  } else if (dispatch == RowType::u8 && combine != CombineKind::none) {
    return invalid("rows of u8 can only combine 'none'");
  }
  // What one destination takes of a round is a frame.
  constexpr uint64_t kMostBytes = std::numeric_limits<uint32_t>::max() / 2;
  const uint64_t replied = uint64_t{max_tokens} * (combine == CombineKind::weighted ? top_k : 1);
  if (uint64_t{dispatch_layout(*this).row_bytes()} * max_tokens > kMostBytes ||
      uint64_t{reply_layout(*this).row_bytes()} * replied > kMostBytes)
    return invalid("a round of these rows is larger than 2 GiB");
  return {};
}

uint32_t most_experts(const ExchangeConfig& config) {
  std::vector<uint32_t> held(config.ffn);
  for (uint32_t e = 0; e < config.experts; ++e)
    for (const uint32_t rank : config.placement.of(e)) ++held[rank];
  return *std::max_element(held.begin(), held.end());
}

uint64_t most_places(const ExchangeConfig& config) {
  const uint64_t tokens = uint64_t{config.attention} * config.max_tokens;
  const uint64_t experts = most_experts(config);
  if (config.expert_rows > 0) return experts * config.expert_rows;
  const uint64_t rows = tokens * config.top_k;
  // Only experts that are sent rows leave places free before the next.
  return rows + std::min(experts, rows) * (config.expert_alignment - 1);
}

RowType reply_type(const ExchangeConfig& config) {
  const bool bytes = config.dispatch == RowType::u8 && config.combine == CombineKind::none;
  return bytes ? RowType::u8 : RowType::bf16;
}

DispatchColumns dispatch_columns(const ExchangeConfig& config) {
  DispatchColumns columns;
  uint32_t next = 1;
  if (config.dispatch == RowType::fp8e4m3) columns.scales = next++;
  if (config.experts > 0) {
    columns.experts = next++;
    columns.weights = next++;
  }
  columns.first_extra = next;
  return columns;
}

wire::PublicationLayout dispatch_layout(const ExchangeConfig& config) {
  wire::PublicationShape shape{
      config.depth, config.max_tokens, config.ffn, config.routed, config.meta_capacity, {}, 0};
  shape.column_bytes.push_back(row_bytes(config.dispatch, config.hidden));
  if (config.dispatch == RowType::fp8e4m3)
    shape.column_bytes.push_back((config.hidden + kScaleGroup - 1) / kScaleGroup * sizeof(float));
  if (config.experts > 0) {
    shape.column_bytes.push_back(config.top_k * sizeof(int32_t));
    shape.column_bytes.push_back(config.top_k * sizeof(float));
  }
  if (const auto columns = dispatch_columns(config); choices_lead(config))
    shape.leading = 1u << columns.experts | 1u << columns.weights;
  shape.column_bytes.insert(shape.column_bytes.end(), config.extra_columns.begin(),
                            config.extra_columns.end());
  return wire::PublicationLayout(std::move(shape));
}

wire::PublicationLayout reply_layout(const ExchangeConfig& config) {
  const bool weighted = config.combine == CombineKind::weighted;
  const uint32_t row = row_bytes(reply_type(config), config.hidden);
  if (config.symmetric) {
    // A row for each place, or the sums for each row that was sent.
    const uint64_t rows = weighted ? most_places(config) : uint64_t{config.attention} * config.max_tokens;
    return wire::PublicationLayout(
        {config.depth, static_cast<uint32_t>(rows), config.attention, true, 0, {row}, 0});
  }
  const uint32_t rows = weighted ? config.max_tokens * config.top_k : config.max_tokens;
  return wire::PublicationLayout({config.depth, rows, 1, false, 0, {row}, 0});
}

size_t publication_offset(const wire::PublicationLayout& layout, uint32_t publication) {
  return kArenaHeaderBytes + layout.bytes() * publication;
}

}  // namespace weft
