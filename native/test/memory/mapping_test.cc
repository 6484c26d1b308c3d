#include "memory/mapping.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "memory/fd.h"

namespace weft::test {
namespace {

Fd file(size_t bytes, int seals) {
  Fd fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  (void)!ftruncate(fd.get(), static_cast<off_t>(bytes));
  if (seals != 0) fcntl(fd.get(), F_ADD_SEALS, seals);
  return fd;
}

TEST(Mapping, OfAPeersFileDemandsThatItCannotShrink) {
  const Fd unsealed = file(8192, 0);
  const auto refused = Mapping::of_file(unsealed.get(), 8192, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::protocol);
  const Fd grow_only = file(8192, F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_FALSE(Mapping::of_file(grow_only.get(), 8192, false));
  const Fd sealed = file(8192, F_SEAL_SHRINK);
  EXPECT_TRUE(Mapping::of_file(sealed.get(), 8192, false));
}

TEST(Mapping, OfAPeersFileDemandsThatItIsLargeEnough) {
  const Fd sealed = file(8192, F_SEAL_SHRINK);
  EXPECT_TRUE(Mapping::of_file(sealed.get(), 4096, false));
  const auto refused = Mapping::of_file(sealed.get(), 8193, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::protocol);
  EXPECT_FALSE(Mapping::of_file(sealed.get(), SIZE_MAX / 2, false));
}

TEST(Mapping, OfWhatIsNoFileOfMemoryIsRefused) {
  EXPECT_FALSE(Mapping::of_file(-1, 4096, false));
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  const Fd in(pipes[0]), out(pipes[1]);
  EXPECT_FALSE(Mapping::of_file(in.get(), 4096, false));
  const Fd null(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(Mapping::of_file(null.get(), 4096, false));
}

TEST(Mapping, AnonymousMemoryIsZeroedAndWritable) {
  const auto memory = Mapping::anonymous(10'000);
  ASSERT_TRUE(memory);
  EXPECT_EQ((*memory)->size(), 10'000u);
  for (size_t i = 0; i < 10'000; ++i) ASSERT_EQ((*memory)->data()[i], std::byte{0});
  (*memory)->data()[9999] = std::byte{1};
}

}  // namespace
}  // namespace weft::test
