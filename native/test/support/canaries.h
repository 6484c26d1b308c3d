// Paint on every byte of a publication that the layout gives to nobody: heads' reserved parts, gaps between
// metadata, lists and columns. Whoever writes past a region scratches it.
#pragma once

#include <cstddef>
#include <vector>

#include "wire/publication.h"

namespace weft::test {

class Canaries {
 public:
  Canaries(const wire::PublicationLayout& layout, std::byte* base)
      : base_(base), free_(layout.bytes(), true) {
    const auto& shape = layout.shape();
    for (uint32_t slot = 0; slot < shape.depth; ++slot) {
      take(layout.head(slot), offsetof(wire::SlotHead, inline_rows));
      take(layout.meta(slot), shape.meta_capacity);
      for (uint32_t d = 0; shape.lists && d < shape.destinations; ++d)
        take(layout.list(slot, d), sizeof(wire::RowList) + sizeof(uint32_t) * shape.max_rows);
      for (uint32_t c = 0; c < shape.column_bytes.size(); ++c)
        take(layout.column(slot, c), size_t{shape.column_bytes[c]} * shape.max_rows);
    }
    for (size_t i = 0; i < free_.size(); ++i)
      if (free_[i]) base_[i] = paint(i);
  }

  bool intact() const {
    for (size_t i = 0; i < free_.size(); ++i)
      if (free_[i] && base_[i] != paint(i)) return false;
    return true;
  }

 private:
  static std::byte paint(size_t i) { return static_cast<std::byte>(i * 31 + 7); }
  void take(size_t at, size_t bytes) {
    for (size_t i = at; i < at + bytes; ++i) free_[i] = false;
  }

  std::byte* base_;
  std::vector<bool> free_;
};

}  // namespace weft::test
