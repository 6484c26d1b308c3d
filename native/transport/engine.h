// What moves the bytes of links: a tcp link moves its own, all links of a fabric share one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/clock.h"
#include "core/status.h"

namespace weft {

// How long an engine goes on with what came before an end: a peer that never stops sending holds nobody up.
inline constexpr int64_t kDrainNs = 100'000'000;

class Engine {
 public:
  virtual ~Engine() = default;
  // Does what can be done now; true: something moved. Any thread may call it; who comes while another is at
  // it goes on without waiting.
  virtual bool progress() = 0;
  // For poll(2): readable when progress() has something to do. -1: nothing will come any more, or the
  // doorbell tells of it.
  virtual int fd() const = 0;
  // Something may come that the doorbell tells of.
  virtual bool rung() const { return false; }
  // Bytes of ours wait for room: sleepers on fd() wait for it to become writable, too.
  virtual bool wants_room() const { return false; }
  // Memory of the arena that peers will get leases in: what takes long, such as registering it with a device,
  // is done now, once.
  virtual Expected<void> prepare(std::span<std::byte>) { return {}; }
  // Called by who is about to sleep on fd(), which tells of what happens from here on. False: something has
  // happened already.
  virtual bool arm() { return true; }
  // Sleepers are to look again after so long: something may come that fd() does not tell of.
  virtual int64_t longest_sleep_ns() const { return kNever; }
};

}  // namespace weft
