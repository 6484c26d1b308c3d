#pragma once

#include <cstddef>
#include <memory>

#include "core/status.h"

namespace weft {

constexpr size_t kHugePage = 2 * 1024 * 1024;

// A mapped range. Whoever reads or writes the range holds a shared_ptr to it, JavaScript views included, so
// it outlives the link or the mesh that made it.
class Mapping {
 public:
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  // Backs the first `bytes` with huge pages, which makes them resident. A wish: kernels before 6.1 and hosts
  // without free huge pages don't grant it, and nothing else changes then.
  // Bytes that are in memory, of those that were ever touched.
  size_t resident() const;
  void back_with_huge_pages(size_t from, size_t bytes);

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  // Maps so many bytes of `fd` from a multiple of the page size on. A read-only mapping demands that the file
  // can't shrink (F_SEAL_SHRINK): without the seal its owner could make our reads fault.
  static Expected<std::shared_ptr<Mapping>> of_file(int fd, size_t bytes, bool writable, size_t from = 0);
  // Zeroed private memory.
  static Expected<std::shared_ptr<Mapping>> anonymous(size_t bytes);

 private:
  Mapping(std::byte* data, size_t size) : data_(data), size_(size) {}
  std::byte* data_;
  size_t size_;
};

}  // namespace weft
