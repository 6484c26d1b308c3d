// Real processes for tests: children forked before the test has threads, and a board in shared memory on
// which they leave word for each other and for the test.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "support/test_mesh.h"

namespace weft::test {

constexpr size_t kBoardMembers = 8;

// What one process tells the others. All words start as zero.
struct Entry {
  char address[64];
  std::atomic<uint32_t> listening;
  std::atomic<uint32_t> stage;      // how far it has come, as the test defines it
  std::atomic<uint64_t> rounds;     // combined or replied to
  std::atomic<int64_t> noticed_ns;  // when it noticed the loss of a peer
  std::atomic<uint32_t> code;       // that it noticed it by
  std::atomic<int32_t> blamed;
  std::atomic<uint64_t> value[4];  // the test's own
};

struct Board {
  std::atomic<uint32_t> go;  // what the test allows, as the test defines it
  Entry members[kBoardMembers];
};

void* map_shared(size_t bytes);
void unmap_shared(void* data, size_t bytes);

// Memory that children share with the test.
template <class T>
class Shared {
 public:
  Shared() : object_(static_cast<T*>(map_shared(sizeof(T)))) {}
  ~Shared() { unmap_shared(object_, sizeof(T)); }
  Shared(const Shared&) = delete;
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  T* object_;
};

class Child {
 public:
  // Forks. The child runs `body` and exits with 1 if a gtest assertion failed in it, else 0.
  explicit Child(const std::function<void()>& body);
  // Kills and reaps what still runs.
  ~Child();
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

  void signal(int number) const;
  // The exit status, or -signal; kHung when it did not end in time.
  int wait(double within_ms = 30'000);
  static constexpr int kHung = -1000;

 private:
  pid_t pid_ = -1;
};

// Waits until the condition holds; false when it did not in time.
bool until(const std::function<bool()>& condition, double within_ms = 20'000);

// In a child: listens, waits for the addresses of all members on the board, connects.
Rank join(const MeshPlan& plan, Board& board, uint32_t member, double deadline_ms = 20'000);

}  // namespace weft::test
