#include "exchange/config.h"

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
    if (placement.size() != experts) return invalid("experts.placement must name a ffn rank for each expert");
    for (const uint32_t rank : placement)
      if (rank >= ffn) return invalid("experts.placement names ffn rank " + std::to_string(rank));
    if (uint64_t{max_tokens} * top_k > wire::kMaxRows)
      return invalid("maxTokens * topK must be at most 1048575");
  }
  if ((routed || combine == CombineKind::weighted) && experts == 0)
    return invalid("mode 'routed' and combine 'weighted' need experts");
  if (dispatch == RowType::u8 && combine != CombineKind::none)
    return invalid("rows of u8 can only combine 'none'");
  for (const auto& layout : {dispatch_layout(*this), reply_layout(*this)})
    if (uint64_t{layout.row_bytes()} * layout.shape().max_rows > std::numeric_limits<uint32_t>::max() / 2)
      return invalid("a round of these rows is larger than 2 GiB");
  return {};
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
  wire::PublicationShape shape{config.depth,  config.max_tokens,    config.ffn,
                               config.routed, config.meta_capacity, {}};
  shape.column_bytes.push_back(row_bytes(config.dispatch, config.hidden));
  if (config.dispatch == RowType::fp8e4m3)
    shape.column_bytes.push_back((config.hidden + kScaleGroup - 1) / kScaleGroup * sizeof(float));
  if (config.experts > 0) {
    shape.column_bytes.push_back(config.top_k * sizeof(int32_t));
    shape.column_bytes.push_back(config.top_k * sizeof(float));
  }
  shape.column_bytes.insert(shape.column_bytes.end(), config.extra_columns.begin(),
                            config.extra_columns.end());
  return wire::PublicationLayout(std::move(shape));
}

wire::PublicationLayout reply_layout(const ExchangeConfig& config) {
  const uint32_t rows =
      config.combine == CombineKind::weighted ? config.max_tokens * config.top_k : config.max_tokens;
  const RowType type = config.dispatch == RowType::u8 ? RowType::u8 : RowType::bf16;
  return wire::PublicationLayout({config.depth, rows, 1, false, 0, {row_bytes(type, config.hidden)}});
}

size_t publication_offset(const wire::PublicationLayout& layout, uint32_t publication) {
  return kArenaHeaderBytes + layout.bytes() * publication;
}

size_t heap_offset(const wire::PublicationLayout& layout, uint32_t publications) {
  return publication_offset(layout, publications);
}

}  // namespace weft
