#pragma once

#include <mutex>
#include <optional>

#include "transport/life_line.h"
#include "transport/shm/lane.h"
#include "transport/shm/shm_engine.h"
#include "transport/transport.h"

namespace weft {

class ShmLink : public Link {
 public:
  static Expected<std::unique_ptr<Link>> create(const Local& local, Session session);
  ~ShmLink() override { close(0); }

  const std::byte* inbound(size_t i) const override { return peer_->data() + inbound_[i].offset; }
  const std::shared_ptr<Mapping>& inbound_memory() const override { return peer_; }
  bool packs_rows() const override { return false; }
  void publish(const Outgoing&) override { doorbell_.ring(); }
  void release(size_t, uint64_t) override {}
  bool sending() const override { return sender_->pending(); }
  Expected<wire::Ticket> lease(std::span<std::byte> memory, uint16_t counters) override;
  bool revoke(uint16_t lease) override;
  bool quiet(uint16_t) override { return true; }
  Code write(const Writing& write, uint64_t& number) override;
  uint64_t written() const override {
    std::lock_guard hold(send_lock_);
    return sender_->written();
  }
  Engine* engine() override { return engine_; }
  int end_fd() const override { return state() == LinkState::up ? life_line_.fd() : -1; }
  bool notice() override;
  Traffic traffic() const override { return sender_->counts().beside(receiver_->arrivals()); }
  void close(int64_t deadline) override;

  // From the engine: copies what the peer pushed, puts what waits for room. True: something moved.
  bool turn();

 protected:
  // The peer reads our memory for as long as it likes; what it copied after this it does not count.
  void cut(LinkState how) override;

 private:
  ShmLink(const Local& local, Fd socket)
      : engine_(static_cast<ShmEngine*>(local.engine)),
        own_bell_(local.doorbell),
        life_line_(std::move(socket)) {}
  bool send();
  bool receive();
  void end(LinkState how);

  ShmEngine* engine_;
  const Doorbell* own_bell_;
  std::shared_ptr<Mapping> peer_, peer_lane_;
  std::shared_ptr<Mapping> arena_;
  Doorbell doorbell_;  // the peer's
  LifeLine life_line_;
  std::vector<Inbound> inbound_;
  // Locks: who receives may take the sender's, too.
  mutable std::mutex receive_lock_, send_lock_;
  std::optional<LaneSender> sender_;
  std::optional<LaneReceiver> receiver_;
};

}  // namespace weft
