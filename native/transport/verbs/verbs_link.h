#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "transport/life_line.h"
#include "transport/verbs/engine.h"
#include "transport/verbs/receiver.h"
#include "transport/verbs/sender.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

// Locks, in the order in which they are taken: that of who uses the engine from outside of it, the engine's
// (receiving, and the end of the link), then ours (sending).
class VerbsLink : public Link {
 public:
  static Expected<std::unique_ptr<Link>> create(const Local& local, Session session);
  ~VerbsLink() override { close(0); }

  const std::byte* inbound(size_t i) const override { return receiver_->mirrors().mirror(i); }
  const std::shared_ptr<Mapping>& inbound_memory() const override { return receiver_->mirrors().memory(); }
  bool packs_rows() const override { return true; }
  void publish(const Outgoing& rows) override;
  void release(size_t inbound, uint64_t generation) override {
    receiver_->mirrors().release(inbound, generation);
  }
  bool sending() const override { return state() == LinkState::up && sender_->pending(); }
  Expected<wire::Ticket> lease(std::span<std::byte> memory, uint16_t counters) override;
  bool revoke(uint16_t lease) override;
  bool quiet(uint16_t lease) override;
  Code write(const Writing& write, uint64_t& number) override;
  uint64_t written() const override { return sender_ ? sender_->written() : 0; }
  Engine* engine() override { return engine_; }
  int end_fd() const override { return state() == LinkState::up ? life_line_.fd() : -1; }
  bool notice() override;
  std::string describe() const override { return description_; }
  Traffic traffic() const override;
  void close(int64_t deadline) override;

  // From the engine, which holds its lock.
  void arrived(size_t rail, uint32_t immediate);
  void retired(size_t rail, uint64_t request);
  bool note_failure(const char* why);  // false: that is known already
  void end(LinkState how);

 protected:
  void cut(LinkState how) override;

 private:
  explicit VerbsLink(const Local& local)
      : engine_(static_cast<VerbsEngine*>(local.engine)), doorbell_(local.doorbell) {}
  Expected<void> set_up(const Local& local, Session session);
  void describe(const std::vector<Lane>& lanes, const Card& theirs);
  Arrived notes_arrived(size_t rail, const Immediate& immediate);
  Arrived take_note(size_t rail, const wire::Frame& note);
  // For who has the send lock.
  bool flush();
  // The number may be given again. What was registered for it is to be destroyed when no lock is held.
  std::vector<Region> forget(uint16_t lease);
  // The fence, but for a completion that is being handled.
  void stop();

  VerbsEngine* engine_;
  const Doorbell* doorbell_;
  LifeLine life_line_;
  std::mutex use_;  // close() ends the use of the engine
  std::mutex send_lock_;
  std::unique_ptr<Sender> sender_;
  std::unique_ptr<Receiver> receiver_;
  std::shared_ptr<Mapping> records_;          // the sender's
  std::vector<std::vector<Region>> regions_;  // of the records and of each window
  std::string description_;
  // Leases: their memory, where it was not prepared, and on which rails the peer has not answered yet that it
  // writes no more.
  struct Leased {
    std::vector<Region> regions;
    uint32_t unanswered = 0;  // a bit for each rail
  };
  std::map<uint16_t, Leased> leased_;
  std::shared_ptr<Mapping> rings_;
  std::optional<NoteRings> notes_;
  Counter arrivals_;
  std::atomic<const char*> failure_{nullptr};
  bool closed_ = false;
};

}  // namespace weft::verbs

#endif
