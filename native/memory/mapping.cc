#include "memory/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "core/cpu.h"

namespace weft {

namespace {

// Maps at an address where huge pages can be mapped as what they are: a mapping of them at any other address
// is a mapping of small pages.
void* map_aligned(size_t bytes, int protection, int flags, int fd, size_t from = 0) {
  const auto offset = static_cast<off_t>(from);
  if (bytes < kHugePage) return mmap(nullptr, bytes, protection, flags, fd, offset);
  void* reserved =
      mmap(nullptr, bytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return MAP_FAILED;
  const auto start = reinterpret_cast<uintptr_t>(reserved);
  const uintptr_t aligned = align_up(start, kHugePage);
  void* data = mmap(reinterpret_cast<void*>(aligned), bytes, protection, flags | MAP_FIXED, fd, offset);
  const int error = errno;
  // Give back what lies around it.
  const uintptr_t end = data == MAP_FAILED ? start : align_up(aligned + bytes, 4096);
  if (data != MAP_FAILED && aligned > start) munmap(reserved, aligned - start);
  munmap(reinterpret_cast<void*>(end), start + bytes + kHugePage - end);
  errno = error;
  return data;
}

}  // namespace

Mapping::~Mapping() { munmap(data_, size_); }

Expected<std::shared_ptr<Mapping>> Mapping::of_file(int fd, size_t bytes, bool writable, size_t from) {
  if (!writable) {
    struct stat info;
    if (fstat(fd, &info) != 0) return fail(Code::system, "fstat of a peer's arena", errno);
    if (static_cast<size_t>(info.st_size) < from + bytes)
      return fail(Code::protocol, "the peer's arena is smaller than the agreed layout needs");
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
      return fail(Code::protocol, "the peer's arena is not sealed against shrinking");
  }
  void* data = map_aligned(bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, from);
  if (data == MAP_FAILED) return fail(Code::system, "mmap of an arena", errno);
  return std::shared_ptr<Mapping>(new Mapping(static_cast<std::byte*>(data), bytes));
}

void Mapping::back_with_huge_pages(size_t from, size_t bytes) {
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
  bytes = bytes / kHugePage * kHugePage;
  std::byte* data = data_ + from;
  // Only pages that are there can be collapsed.
  if (bytes > 0 && madvise(data, bytes, MADV_POPULATE_WRITE) == 0) madvise(data, bytes, MADV_COLLAPSE);
}

size_t Mapping::resident() const {
  std::vector<unsigned char> pages((size_ + kPage - 1) / kPage);
  if (mincore(data_, size_, pages.data()) != 0) return 0;
  return kPage * static_cast<size_t>(
                     std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; }));
}

Expected<std::shared_ptr<Mapping>> Mapping::anonymous(size_t bytes) {
  void* data = map_aligned(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  if (data == MAP_FAILED) return fail(Code::system, "mmap of a mirror", errno);
  if (bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);  // a hint; small pages serve as well
  return std::shared_ptr<Mapping>(new Mapping(static_cast<std::byte*>(data), bytes));
}

}  // namespace weft
