#include "memory/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

namespace weft {

Mapping::~Mapping() { munmap(data_, size_); }

Expected<std::shared_ptr<Mapping>> Mapping::of_file(int fd, size_t bytes, bool writable) {
  if (!writable) {
    struct stat info;
    if (fstat(fd, &info) != 0) return fail(Code::system, "fstat of a peer's arena", errno);
    if (static_cast<size_t>(info.st_size) < bytes)
      return fail(Code::protocol, "the peer's arena is smaller than the agreed layout needs");
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
      return fail(Code::protocol, "the peer's arena is not sealed against shrinking");
  }
  void* data = mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return fail(Code::system, "mmap of an arena", errno);
  return std::shared_ptr<Mapping>(new Mapping(static_cast<std::byte*>(data), bytes));
}

Expected<std::shared_ptr<Mapping>> Mapping::anonymous(size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return fail(Code::system, "mmap of a mirror", errno);
  return std::shared_ptr<Mapping>(new Mapping(static_cast<std::byte*>(data), bytes));
}

}  // namespace weft
