// Rows picked by an index list into a dense array.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::kernels {

// dst row i = src row index[i], for i < n. Source rows start every `src_stride` bytes (at least row_bytes),
// destination rows are dense. The caller has checked the indices; dst must not overlap the source.
// Neighbouring rows that follow each other in a dense source are copied as one run.
void gather_rows(const std::byte* src, size_t src_stride, const uint32_t* index, size_t n, size_t row_bytes,
                 std::byte* dst);

}  // namespace weft::kernels
