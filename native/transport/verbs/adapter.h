// An open port: what all queue pairs on it share. Completions of every link come into one queue, immediates
// take their receive request from one shared queue.
#pragma once

#include <memory>
#include <span>

#include "memory/mapping.h"
#include "transport/verbs/device.h"
#include "transport/verbs/library.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

// Deleters of the library's objects.
template <auto Member>
struct Destroy {
  const Library* library = nullptr;
  template <class T>
  void operator()(T* object) const {
    (library->*Member)(object);
  }
};
template <class T, auto Member>
using Handle = std::unique_ptr<T, Destroy<Member>>;

using Region = Handle<ibv_mr, &Library::ibv_dereg_mr>;

// The number of every receive request: of a completion that failed, nothing but this and the queue pair is
// sure.
constexpr uint64_t kReceive = UINT64_MAX;

class Adapter {
 public:
  // For that many queue pairs.
  static Expected<std::unique_ptr<Adapter>> open(const Library& library, const Rail& rail,
                                                 size_t queue_pairs);
  ~Adapter();

  // Registers memory that our requests read, and that peers may write into when they are to.
  Expected<Region> expose(std::byte* data, size_t bytes, bool to_writes) const;

  // The same for memory of another device, say of a GPU, that its driver exports as a dma-buf: `bytes` from
  // `offset` in it, which peers address from `address` on.
  Expected<Region> expose_dma_buf(int fd, uint64_t offset, size_t bytes, uint64_t address,
                                  bool to_writes) const;

  // Takes what has completed. In place of receive requests used up, new ones are posted when nothing has, so
  // that no arrival waits for that, or when a quarter is gone.
  std::span<const ibv_wc> poll();
  // After arm(), becomes readable with the next completion.
  int fd() const { return channel_->fd; }
  void arm();

  const Library& library() const { return *library_; }
  const Rail& rail() const { return rail_; }
  const ibv_port_attr& port() const { return port_; }
  ibv_pd* domain() const { return domain_.get(); }
  ibv_cq* completions() const { return completions_.get(); }
  ibv_srq* receives() const { return receives_.get(); }
  // Send requests a queue pair may have under way.
  uint32_t queue_depth() const { return queue_depth_; }
  uint32_t max_pieces() const { return max_pieces_; }

 private:
  explicit Adapter(const Library& library, const Rail& rail) : library_(&library), rail_(rail) {}
  Expected<void> set_up(size_t queue_pairs);
  void refill();

  const Library* library_;
  Rail rail_;
  ibv_port_attr port_{};
  uint32_t queue_depth_ = 0;
  uint32_t max_pieces_ = 0;
  uint32_t most_receives_ = 0;
  uint32_t used_receives_ = 0;
  uint32_t unacknowledged_ = 0;  // events taken from the channel
  ibv_wc polled_[32];
  // In the order in which they are made; destroyed the other way round.
  Handle<ibv_context, &Library::ibv_close_device> context_;
  Handle<ibv_pd, &Library::ibv_dealloc_pd> domain_;
  Handle<ibv_comp_channel, &Library::ibv_destroy_comp_channel> channel_;
  Handle<ibv_cq, &Library::ibv_destroy_cq> completions_;
  Handle<ibv_srq, &Library::ibv_destroy_srq> receives_;
};

}  // namespace weft::verbs

#endif
