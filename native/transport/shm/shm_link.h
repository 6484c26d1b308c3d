#pragma once

#include "transport/life_line.h"
#include "transport/transport.h"

namespace weft {

class ShmLink : public Link {
 public:
  static Expected<std::unique_ptr<Link>> create(const Local& local, Session session);

  const std::byte* inbound(size_t i) const override { return peer_->data() + inbound_[i].offset; }
  const std::shared_ptr<Mapping>& inbound_memory() const override { return peer_; }
  bool packs_rows() const override { return false; }
  void publish(const Outgoing&) override { doorbell_.ring(); }
  void release(size_t, uint64_t) override {}
  int fd() const override { return state() == LinkState::up ? life_line_.fd() : -1; }
  bool notice() override;
  void close(int64_t) override;

 protected:
  // The peer reads our memory for as long as it likes; what it reads is its own affair.
  void cut(LinkState how) override {
    set_state(how);
    life_line_.cut();
  }

 private:
  explicit ShmLink(Fd socket) : life_line_(std::move(socket)) {}

  std::shared_ptr<Mapping> peer_;
  Doorbell doorbell_;  // the peer's
  LifeLine life_line_;
  std::vector<Inbound> inbound_;
};

}  // namespace weft
