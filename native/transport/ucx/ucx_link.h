#pragma once

#include "transport/ucx/receiver.h"
#include "transport/ucx/sender.h"

#if WEFT_HAVE_UCX

#include "transport/life_line.h"

namespace weft {

class UcxLink : public Link {
 public:
  static Expected<std::unique_ptr<Link>> create(const Local& local, Session session);
  ~UcxLink() override;

  const std::byte* inbound(size_t i) const override { return mirrors_->data() + inbound_[i].offset; }
  const std::shared_ptr<Mapping>& inbound_memory() const override { return mirrors_; }
  bool packs_rows() const override { return true; }
  void publish(const Outgoing& rows) override;
  void release(size_t inbound, uint64_t generation) override { receiver_->release(inbound, generation); }
  bool sending() const override { return state() == LinkState::up && sender_->busy(); }
  Engine* engine() override { return engine_; }
  int end_fd() const override { return state() == LinkState::up ? life_line_.fd() : -1; }
  bool notice() override;
  Expected<wire::Ticket> lease(std::span<std::byte> memory, uint16_t counters) override;
  bool revoke(uint16_t lease) override;
  bool quiet(uint16_t lease) override;
  Code write(const Writing& write, uint64_t& number) override;
  uint64_t written() const override { return sender_->written(); }
  void close(int64_t deadline) override;
  // The devices that UCX uses to this peer, such as "rc_verbs/mlx5_0:1".
  std::string describe() const override;
  Traffic traffic() const override { return sender_->counts().beside(receiver_->arrivals()); }

  // From the engine: a message came; the worker has had a turn (`quiet`: in which nothing moved).
  ucs_status_t take(const UcxArrival& arrival);
  void attend(bool quiet);

 protected:
  void cut(LinkState how) override;

 private:
  UcxLink(UcxEngine& engine, const Local& local, Session& session, std::shared_ptr<Mapping> memory);
  Expected<void> meet(Session& session);  // the other end, and make sure that data can flow
  Expected<void> dial(std::span<const std::byte> address);
  Expected<void> settle(const Session& session);
  ucs_status_t failure() const;
  std::string devices() const;
  void say_goodbye(int64_t deadline);
  // What UCX says of a failure; null when there is none.
  const char* why() const;
  void hang_up();               // ends the endpoint by force; requests under way end by and by
  bool quiesce();               // turns until they have; false: in vain
  bool forget(uint16_t lease);  // its number may be given again; false: UCX still writes into the memory
  void leave();
  static void failed(void* self, ucp_ep_h, ucs_status_t status);

  // Held by who uses the engine from outside of it, before the engine's own: close() takes the engine away.
  mutable std::mutex use_;
  UcxEngine* engine_;  // null once closed
  std::shared_ptr<Mapping> mirrors_;
  std::vector<Inbound> inbound_;
  std::shared_ptr<UcxSender> sender_;  // the engine keeps them longer when UCX is not done with them
  std::shared_ptr<UcxReceiver> receiver_;
  LifeLine life_line_;
  uint64_t number_ = 0;
  ucp_ep_h peer_ = nullptr;
  ucs_status_ptr_t hanging_up_ = nullptr;
  ucs_status_t peer_failure_ = UCS_OK;
  bool said_goodbye_ = false;  // the peer, on the life line; its goodbye frame must be on its way
  bool unsound_ = false;       // UCX may write into our memory for ever
  int64_t give_up_ns_ = 0;
  std::string description_;  // when there is nobody to ask any more
};

}  // namespace weft

#endif  // WEFT_HAVE_UCX
