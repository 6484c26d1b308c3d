#pragma once

#include <mutex>

#include "transport/tcp/receiver.h"
#include "transport/tcp/sender.h"
#include "transport/transport.h"

namespace weft {

// The sending and the receiving half have a lock each, so that a thread which publishes never waits for one
// that is busy receiving a large frame.
class TcpLink : public Link, public Engine {
 public:
  static Expected<std::unique_ptr<Link>> create(const Local& local, Session session);

  const std::byte* inbound(size_t i) const override { return receiver_.mirror(i); }
  const std::shared_ptr<Mapping>& inbound_memory() const override { return receiver_.memory(); }
  bool packs_rows() const override { return true; }
  void publish(const Outgoing& rows) override;
  void release(size_t inbound, uint64_t generation) override { receiver_.release(inbound, generation); }
  bool sending() const override { return sender_.pending(); }
  Expected<wire::Ticket> lease(std::span<std::byte> memory, uint16_t counters) override;
  bool revoke(uint16_t lease) override;
  bool quiet(uint16_t) override { return true; }
  Code write(const Writing& write, uint64_t& number) override;
  uint64_t written() const override { return sender_.outbox().written(); }
  Engine* engine() override { return this; }
  bool progress() override;
  bool wants_room() const override { return sender_.pending(); }
  int fd() const override { return state() == LinkState::up ? socket_.get() : -1; }
  Traffic traffic() const override { return sender_.counts().beside(receiver_.arrivals()); }
  void close(int64_t deadline) override;

 protected:
  void cut(LinkState how) override;

 private:
  TcpLink(const Local& local, Session session, std::shared_ptr<Mapping> memory);
  void heed_revokes();
  bool flush();

  Fd socket_;
  std::mutex send_lock_, receive_lock_;
  TcpSender sender_;
  TcpReceiver receiver_;
  const Doorbell* doorbell_;
};

}  // namespace weft
