#include "memory/doorbell.h"

#include <sys/eventfd.h>

#include <cerrno>

namespace weft {

Expected<std::array<Fd, kBays>> Doorbell::create() {
  std::array<Fd, kBays> bells;
  for (Fd& bell : bells) {
    bell = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell) return fail(Code::system, "eventfd", errno);
  }
  return bells;
}

void Doorbell::wake(uint32_t mask) const {
  for (size_t bay = 0; bay < kBays; ++bay) {
    if ((mask & (1u << bay)) == 0) continue;
    const uint64_t one = 1;
    // EAGAIN (the counter is full) means that the bell is ringing already.
    [[maybe_unused]] const ssize_t written = write(bells_[bay].get(), &one, sizeof one);
  }
}

}  // namespace weft
