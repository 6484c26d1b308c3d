// The connection to one peer: the half of the contract that is used every round. docs/transports.md.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "memory/mapping.h"
#include "transport/engine.h"
#include "transport/leases.h"
#include "wire/publication.h"

namespace weft {

// A publication of the peer that we read: where it lies in the peer's arena, and which destination of it we
// are.
struct Inbound {
  uint16_t publication;
  uint16_t destination;
  uint64_t offset;
  const wire::PublicationLayout* layout;
};

// Rows [from, to) of a slot of ours have become final for one destination. The state word is stored already.
struct Outgoing {
  const wire::PublicationLayout* layout;
  const std::byte* base;  // of the publication; its slot stays as it is until the destination released it
  uint16_t publication;
  uint16_t destination;
  uint64_t generation;
  uint32_t from, to;
  bool begin;  // the first of the round
};

// Bytes of our arena for memory that the peer leased to us. They stay as they are until they are `written`.
struct Writing {
  wire::Ticket ticket;
  uint16_t counter = 0;  // of the lease
  uint64_t at = 0;       // in the lease
  const std::byte* from = nullptr;
  uint64_t bytes = 0;
};

// What we have sent over a link, and what came, since it is up: for those who count messages.
struct Traffic {
  uint64_t messages = 0;  // of which the peer was told: a round, or a part of one
  uint64_t requests = 0;  // to the device or the library, for these
  uint64_t bytes = 0;     // of bodies and our headers
  uint64_t arrivals = 0;  // messages that came
};

// For traffic(): one thread at a time counts, any may read.
class Counter {
 public:
  void add(uint64_t n) { count_.store(read() + n, std::memory_order_relaxed); }
  uint64_t read() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> count_{0};
};

// What a sending half counts.
struct Sent {
  Counter messages, requests, bytes;
  Traffic beside(uint64_t arrivals) const {
    return {messages.read(), requests.read(), bytes.read(), arrivals};
  }
};

enum class LinkState : uint8_t { up, closed, lost, broken };  // broken: the peer broke the protocol

// publish() and release() are for the thread that owns the exchange; the rest may be called by any thread.
class Link {
 public:
  virtual ~Link() = default;
  // The peer's i-th inbound publication, readable here: its own memory, or a mirror of it.
  virtual const std::byte* inbound(size_t i) const = 0;
  virtual const std::shared_ptr<Mapping>& inbound_memory() const = 0;
  // Mirrors hold the rows that we take packed; publishers' memory holds them where they were published.
  virtual bool packs_rows() const = 0;
  // Makes the rows visible to the peer. Never blocks: what can't be sent now is sent by the engine.
  virtual void publish(const Outgoing& rows) = 0;
  // We are done reading this generation of an inbound publication; its slot may be overwritten.
  virtual void release(size_t inbound, uint64_t generation) = 0;
  // True while bytes of ours wait for room in the transport.
  virtual bool sending() const { return false; }

  // Page push: one-sided writes into leased memory, completed by counting at the receiver.
  // Lets the peer write into memory of our arena; fills in what a ticket says of the lease itself.
  virtual Expected<wire::Ticket> lease(std::span<std::byte> memory, uint16_t counters) = 0;
  // The fence: nothing is counted any more for the lease, and the peer is told. True: nothing writes into the
  // memory any more, which may be used at once, and the number may be given again. False: the peer's device
  // still may; quiet() says when it is over. To end the link is what ends it for sure.
  virtual bool revoke(uint16_t lease) = 0;
  virtual bool quiet(uint16_t lease) = 0;
  // Never blocks. `again`: there is no room until more is written(), or the link is not up; `state`: the
  // lease is over. ok: it has a number, and is done with its source when written() has come to that; whether
  // it arrived is for the receiver to say. When the link is not up, all are done with.
  virtual Code write(const Writing& write, uint64_t& number) = 0;
  virtual uint64_t written() const = 0;
  const Leases& leases() const { return leases_; }

  // Who moves this link's bytes; waiters must keep it going. Null: nobody has to.
  virtual Engine* engine() { return nullptr; }
  // For poll(2), where the engine doesn't tell of the peer's end: readable when there is one to notice. -1:
  // none.
  virtual int end_fd() const { return -1; }
  virtual bool notice() { return false; }  // true: it has come
  // The way that data takes, for people; empty where the transport's name says it all.
  virtual std::string describe() const { return {}; }
  // Counted by links that send messages.
  virtual Traffic traffic() const { return {}; }
  // Says goodbye (so that the peer sees `closed`, not `lost`), gives what is not sent yet until the deadline
  // to go out, and stops all access to the peer's and our memory.
  virtual void close(int64_t deadline) = 0;

  // The peer wrote nonsense: it is not listened to any more, and is told by the end of the connection.
  void condemn() { cut(LinkState::broken); }
  // We want no more of the peer, say because it does not answer: for us it is lost, and for it we are.
  void drop() { cut(LinkState::lost); }
  LinkState state() const { return state_.load(std::memory_order_acquire); }
  // Of a link that is not up: why, where more is known than the state says; otherwise null.
  const char* reason() const { return reason_.load(std::memory_order_acquire); }

 protected:
  // The first end counts. `why` lives for ever.
  void set_state(LinkState state, const char* why = nullptr) {
    LinkState up = LinkState::up;
    const char* none = nullptr;
    if (why != nullptr && this->state() == up) reason_.compare_exchange_strong(none, why);
    state_.compare_exchange_strong(up, state, std::memory_order_acq_rel);
  }
  // Ends the connection, so that the peer notices, and is the fence: when it returns, nothing that comes is
  // written to our memory any more, and nothing is read from it to be sent. A link that is not up promises
  // that, so its state changes last where the fence takes effort. May be called again.
  virtual void cut(LinkState how) = 0;

  Leases leases_;

 private:
  std::atomic<LinkState> state_{LinkState::up};
  std::atomic<const char*> reason_{nullptr};
};

}  // namespace weft
