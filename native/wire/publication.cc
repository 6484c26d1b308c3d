#include "wire/publication.h"

namespace weft::wire {

PublicationLayout::PublicationLayout(PublicationShape shape) : shape_(std::move(shape)) {
  if ((shape_.depth & (shape_.depth - 1)) == 0) mask_ = shape_.depth - 1;
  size_t inline_at = 0;
  for (size_t c = 0; c < shape_.column_bytes.size(); ++c) {
    const uint32_t bytes = shape_.column_bytes[c];
    row_bytes_ += bytes;
    if (leads(c)) leading_bytes_ += bytes;
    inline_at = align_up(inline_at, 8) + size_t{bytes} * shape_.max_rows;
  }
  inline_ = inline_at <= kInlineBytes;

  bodies_at_ = align_up(size_t{shape_.depth} * kNoSharing, kPage);
  lists_at_ = align_up(shape_.meta_capacity, kNoSharing);
  list_stride_ = align_up(sizeof(RowList) + sizeof(uint32_t) * shape_.max_rows, kNoSharing);
  size_t at = lists_at_ + (shape_.lists ? list_stride_ * shape_.destinations : 0);
  size_t inline_next = 0;
  for (const uint32_t bytes : shape_.column_bytes) {
    const size_t column_bytes = size_t{bytes} * shape_.max_rows;
    if (inline_) {
      inline_next = align_up(inline_next, 8);
      columns_at_.push_back(inline_next);
      inline_next += column_bytes;
    } else {
      // Large columns start on a page of their own; small ones share pages but not cache lines.
      at = align_up(at, column_bytes >= kPage ? kPage : kNoSharing);
      columns_at_.push_back(at);
      at += column_bytes;
    }
  }
  body_bytes_ = align_up(at, kPage);
  bytes_ = bodies_at_ + body_bytes_ * shape_.depth;
}

}  // namespace weft::wire
