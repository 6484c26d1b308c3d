#pragma once

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
  bool sending() const override { return false; }
  bool needs_progress() const override { return false; }
  bool progress() override;
  int fd() const override { return state() == LinkState::up ? socket_.get() : -1; }
  void close(int64_t) override;

 private:
  ShmLink() = default;

  std::shared_ptr<Mapping> peer_;
  Doorbell doorbell_;  // the peer's
  Fd socket_;
  std::vector<Inbound> inbound_;
};

}  // namespace weft
