#include "transport/shm/shm_engine.h"

#include <algorithm>

#include "transport/shm/shm_link.h"

namespace weft {

bool ShmEngine::progress() {
  if (!rung() || !lock_.try_lock()) return false;
  // One copies in a turn: whoever waits for rows looks for them in between.
  bool moved = false;
  for (size_t i = 0; i < links_.size() && !moved; ++i) moved = links_[next_++ % links_.size()]->turn();
  lock_.unlock();
  return moved;
}

// Whoever had the lock may have looked at a link before something came there, and we were not rung for it.
bool ShmEngine::arm() {
  if (!rung()) return true;
  std::lock_guard hold(lock_);
  bool moved = false;
  for (ShmLink* link : links_) moved |= link->turn();
  return !moved;
}

void ShmEngine::add(ShmLink& link) {
  std::lock_guard hold(lock_);
  links_.push_back(&link);
}

void ShmEngine::remove(ShmLink& link) {
  std::lock_guard hold(lock_);
  std::erase(links_, &link);
}

}  // namespace weft
