#include "support/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace weft::test {

void* map_shared(size_t bytes) {
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
void unmap_shared(void* data, size_t bytes) { munmap(data, bytes); }

Child::Child(const std::function<void()>& body) {
  std::fflush(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  body();
  std::fflush(nullptr);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGCONT);
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Child::signal(int number) const {
  if (pid_ > 0) kill(pid_, number);
}

int Child::wait(double within_ms) {
  int status = 0;
  if (!until([&] { return waitpid(pid_, &status, WNOHANG) == pid_; }, within_ms)) return kHung;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool until(const std::function<bool()>& condition, double within_ms) {
  for (const int64_t deadline = deadline_after_ms(within_ms); !condition(); usleep(200))
    if (now_ns() >= deadline) return condition();
  return true;
}

Rank join(const MeshPlan& plan, Board& board, uint32_t member, double deadline_ms) {
  std::string address;
  auto rank = Rank::listen(plan, member, address);
  EXPECT_TRUE(rank) << rank.error().what;
  if (!rank) return {};
  std::strncpy(board.members[member].address, address.c_str(), sizeof board.members[member].address - 1);
  board.members[member].listening = 1;
  std::vector<std::string> addresses(plan.members());
  for (uint32_t m = 0; m < plan.members(); ++m) {
    EXPECT_TRUE(until([&] { return board.members[m].listening != 0; }, deadline_ms)) << "member " << m;
    addresses[m] = board.members[m].address;
  }
  const auto done = rank->connect(plan, member, addresses, deadline_after_ms(deadline_ms));
  EXPECT_TRUE(done) << done.error().what << " (member " << done.error().peer << ")";
  return std::move(*rank);
}

}  // namespace weft::test
