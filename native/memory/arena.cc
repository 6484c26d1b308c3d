#include "memory/arena.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <vector>

namespace weft {

namespace {
// Huge pages are for rounds of megabytes: rows are streamed through once, and address translation is a good
// part of that. Below a megabyte they would only take memory; above this they would take too much of it, and
// too long, before the first round.
constexpr size_t kLeastHot = size_t{1} << 20;
constexpr size_t kMostHot = size_t{128} << 20;

// The huge pages that hot ranges touch, none of them twice.
std::vector<ArenaRange> huge_pages(std::span<const ArenaRange> hot) {
  std::vector<ArenaRange> pages;
  size_t total = 0, end = 0;
  for (const ArenaRange& range : hot) {
    if (range.bytes == 0) continue;
    const size_t from = std::max(range.from / kHugePage * kHugePage, end);
    end = std::max(end, align_up(range.from + range.bytes, kHugePage));
    total += range.bytes;
    if (end > from) pages.push_back({from, end - from});
  }
  return total < kLeastHot || total > kMostHot ? std::vector<ArenaRange>{} : pages;
}
}  // namespace

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

Expected<std::unique_ptr<Arena>> Arena::create(size_t bytes, uint32_t member, uint64_t epoch,
                                               std::span<const ArenaRange> hot) {
  const auto hot_pages = huge_pages(hot);
  if (!hot_pages.empty()) bytes = std::max(bytes, hot_pages.back().from + hot_pages.back().bytes);
  bytes = align_up(bytes, 4096);
  Fd file(memfd_create("tensorweft", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return fail(Code::system, "memfd_create", errno);
  if (ftruncate(file.get(), static_cast<off_t>(lane_at(bytes, kLanes))) != 0)
    return fail(Code::system, "ftruncate of the arena", errno);
  auto mapping = Mapping::of_file(file.get(), bytes, true);
  if (!mapping) return std::unexpected(mapping.error());
  auto lanes = Mapping::of_file(file.get(), kLanes * kLaneBytes, true, bytes);
  if (!lanes) return std::unexpected(lanes.error());
  // Our own mapping stays writable; after this seal nobody can make another writable one. Kernels before 5.1
  // don't know the seal, and the descriptor that peers get is read-only anyway.
  fcntl(file.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
  if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail(Code::system, "sealing the arena", errno);
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", file.get());
  Fd read_only(open(path, O_RDONLY | O_CLOEXEC));
  if (!read_only) return fail(Code::system, "opening the arena read-only", errno);

  auto arena = std::make_unique<Arena>();
  arena->mapping_ = std::move(*mapping);
  arena->lanes_ = std::move(*lanes);
  arena->read_only_ = std::move(read_only);
  for (const ArenaRange& range : hot_pages) arena->mapping_->back_with_huge_pages(range.from, range.bytes);
  auto* header = new (arena->data()) ArenaHeader{};
  header->magic = kArenaMagic;
  header->version = kArenaVersion;
  header->member = member;
  header->epoch = epoch;
  header->bytes = bytes;
  return arena;
}

}  // namespace weft
