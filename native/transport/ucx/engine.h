// What the ucx links of an endpoint share: the worker that moves their bytes, and the lock under which one
// thread at a time talks to it.
#pragma once

#include "transport/ucx/worker.h"

#if WEFT_HAVE_UCX

#include <atomic>
#include <mutex>

#include "transport/transport.h"

namespace weft {

class UcxLink;
class UcxReceiver;
class UcxSender;

class UcxEngine : public Engine {
 public:
  static Expected<std::unique_ptr<UcxEngine>> create(const Local& local, size_t links);
  ~UcxEngine() override;

  bool progress() override;
  int fd() const override { return worker_->fd(); }
  bool arm() override;
  int64_t longest_sleep_ns() const override { return longest_sleep_ns_; }

  // Waits its turn. Who polls gives way to who comes here, or it would take the lock again and again.
  std::unique_lock<std::mutex> enter();

  // The rest is for who has entered.
  bool turn();                          // one turn of the worker; true: something moved
  void drain();                         // turns until nothing moves, for a bounded time
  void attend() { attention_ = true; }  // a link wants to be looked at after this turn
  void ring() { news_ = true; }         // something became visible

  // A peer has no way to wake us.
  void sleep_lightly();

  uint64_t enroll(UcxLink& link);  // the number by which the peer calls the link
  void dismiss(uint64_t number);
  // What UCX may still touch after its link is gone.
  void keep(std::shared_ptr<UcxSender> sender, std::shared_ptr<UcxReceiver> receiver);

  const UcxWorker& worker() const { return *worker_; }
  UcxWorker& worker() { return *worker_; }
  const UcxLibrary& ucx() const { return worker_->ucx(); }
  ucp_mem_h arena_memory() const { return arena_memory_; }
  bool in_arena(const std::byte* data, size_t bytes) const;

 private:
  UcxEngine(const Local& local, std::unique_ptr<UcxWorker> worker);
  static ucs_status_t receive(void* self, const void* header, size_t header_bytes, void* data, size_t bytes,
                              const ucp_am_recv_param_t* param);

  struct Seat {
    uint64_t number = 0;
    UcxLink* link = nullptr;
  };

  std::mutex lock_;
  std::atomic<int> wanted_{0};
  const Doorbell* doorbell_;
  std::shared_ptr<Mapping> arena_;
  std::unique_ptr<UcxWorker> worker_;
  ucp_mem_h arena_memory_ = nullptr;
  std::atomic<int64_t> longest_sleep_ns_{kNever};
  bool attention_ = false, news_ = false;
  std::vector<Seat> seats_;
  std::vector<std::pair<std::shared_ptr<UcxSender>, std::shared_ptr<UcxReceiver>>> kept_;
};

}  // namespace weft

#endif  // WEFT_HAVE_UCX
