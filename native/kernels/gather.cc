#include "kernels/gather.h"

#include "kernels/copy.h"

namespace weft::kernels {

void gather_rows(const std::byte* src, size_t src_stride, const uint32_t* index, size_t n, size_t row_bytes,
                 std::byte* dst) {
  if (row_bytes == 0) return;
  const bool dense = src_stride == row_bytes;
  for (size_t i = 0; i < n;) {
    size_t run = 1;
    // 64-bit arithmetic: after row 2^32 - 1 comes none.
    if (dense)
      while (i + run < n && index[i + run] == uint64_t{index[i]} + run) ++run;
    copy_cached(dst + i * row_bytes, src + size_t{index[i]} * src_stride, run * row_bytes);
    i += run;
  }
}

}  // namespace weft::kernels
