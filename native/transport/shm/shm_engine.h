// What the links of an endpoint in shared memory share: the turns in which they copy what peers push. Rows
// need no engine, so it is at rest until there is the first lease or write.
#pragma once

#include <mutex>
#include <vector>

#include "transport/transport.h"

namespace weft {

class ShmLink;

class ShmEngine : public Engine {
 public:
  bool progress() override;
  bool arm() override;
  int fd() const override { return -1; }
  bool rung() const override { return active_.load(std::memory_order_relaxed); }

  void wake() { active_.store(true, std::memory_order_relaxed); }
  void add(ShmLink& link);
  void remove(ShmLink& link);

 private:
  std::atomic<bool> active_{false};
  std::mutex lock_;
  std::vector<ShmLink*> links_;
  size_t next_ = 0;
};

}  // namespace weft
