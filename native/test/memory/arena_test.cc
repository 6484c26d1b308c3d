// What a peer can do with the descriptor of an arena: read it, and nothing else.
#include "memory/arena.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace weft::test {
namespace {

constexpr size_t kBytes = 3 * 4096;

std::unique_ptr<Arena> make() { return *Arena::create(kBytes - 100, 17, 0x123456789); }

// The same file through /proc, as a peer of the same user could open it.
Fd reopened(const Arena& arena, int flags) {
  return Fd(open(("/proc/self/fd/" + std::to_string(arena.shared_fd())).c_str(), flags | O_CLOEXEC));
}

TEST(Arena, IsRoundedUpToPagesZeroedAndHasItsHeader) {
  const auto arena = make();
  EXPECT_EQ(arena->size(), kBytes);
  const ArenaHeader& header = arena->header();
  EXPECT_EQ(std::memcmp(&header.magic, "TWFARENA", 8), 0);
  EXPECT_EQ(header.version, 1u);
  EXPECT_EQ(header.member, 17u);
  EXPECT_EQ(header.epoch, 0x123456789u);
  EXPECT_EQ(header.bytes, kBytes);
  EXPECT_EQ(header.parked.load(), 0u);
  EXPECT_EQ(reinterpret_cast<const std::byte*>(&header.parked) - arena->data(), 128);
  for (size_t i = sizeof(ArenaHeader); i < kBytes; ++i) ASSERT_EQ(arena->data()[i], std::byte{0});
}

TEST(Arena, APeerSeesWhatTheOwnerWrites) {
  const auto arena = make();
  const auto peer = Mapping::of_file(arena->shared_fd(), kBytes, false);
  ASSERT_TRUE(peer) << peer.error().what;
  arena->data()[5000] = std::byte{42};
  EXPECT_EQ((*peer)->data()[5000], std::byte{42});
}

TEST(Arena, APeerCanNeitherShrinkNorGrowIt) {
  const auto arena = make();
  EXPECT_NE(ftruncate(arena->shared_fd(), 4096), 0);
  const Fd writable = reopened(*arena, O_RDWR);
  if (writable) {
    EXPECT_NE(ftruncate(writable.get(), 4096), 0);
    EXPECT_NE(ftruncate(writable.get(), 2 * kBytes), 0);
    EXPECT_NE(fallocate(writable.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
  }
  EXPECT_NE(truncate(("/proc/self/fd/" + std::to_string(arena->shared_fd())).c_str(), 4096), 0);
  struct stat info;
  ASSERT_EQ(fstat(arena->shared_fd(), &info), 0);
  EXPECT_EQ(static_cast<size_t>(info.st_size), Arena::lane_at(kBytes, kLanes));
}

TEST(Arena, APeerCannotWriteIt) {
  const auto arena = make();
  const auto map = [](int fd, int protection) {
    return mmap(nullptr, kBytes, protection, MAP_SHARED, fd, 0);
  };
  EXPECT_EQ(map(arena->shared_fd(), PROT_READ | PROT_WRITE), MAP_FAILED);
  EXPECT_EQ(pwrite(arena->shared_fd(), "x", 1, 0), -1);
  void* mapped = map(arena->shared_fd(), PROT_READ);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(mprotect(mapped, kBytes, PROT_READ | PROT_WRITE), -1) << "a read-only mapping was made writable";
  munmap(mapped, kBytes);
  // Opened again for writing, which the file's mode allows: the seal is what refuses.
  const Fd writable = reopened(*arena, O_RDWR);
  if (writable) {
    EXPECT_EQ(map(writable.get(), PROT_READ | PROT_WRITE), MAP_FAILED);
    EXPECT_EQ(pwrite(writable.get(), "x", 1, 0), -1);
    mapped = map(writable.get(), PROT_READ);
    EXPECT_TRUE(mapped == MAP_FAILED || mprotect(mapped, kBytes, PROT_READ | PROT_WRITE) == -1);
    if (mapped != MAP_FAILED) munmap(mapped, kBytes);
  }
  EXPECT_EQ(std::memcmp(arena->data(), "TWFARENA", 8), 0);
}

TEST(Arena, APeerCannotTakeTheSealsAway) {
  const auto arena = make();
  const int seals = fcntl(arena->shared_fd(), F_GET_SEALS);
  EXPECT_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_EQ(fcntl(arena->shared_fd(), F_ADD_SEALS, F_SEAL_WRITE), -1);
}

TEST(Arena, ItsDescriptorsCloseOnExec) {
  const auto arena = make();
  EXPECT_NE(fcntl(arena->shared_fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Arena, ItsMemoryOutlivesItForWhoHoldsTheMapping) {
  auto arena = make();
  const std::shared_ptr<Mapping> mapping = arena->mapping();
  arena->data()[4096] = std::byte{7};
  arena.reset();
  EXPECT_EQ(mapping->data()[4096], std::byte{7});
}

TEST(Arena, OneThatCannotBeMadeIsAnErrorWithItsCause) {
  const auto arena = Arena::create(size_t{1} << 62, 0, 0);
  ASSERT_FALSE(arena);
  EXPECT_EQ(arena.error().code, Code::system);
  EXPECT_NE(arena.error().system_error, 0);
}

}  // namespace
}  // namespace weft::test
