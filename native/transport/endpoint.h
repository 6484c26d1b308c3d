// A process's presence in a mesh: its arena, its doorbell, its links to peers, and one service thread that
// notices deaths, moves bytes while nobody waits, and finishes the waits of asynchronous callers.
#pragma once

#include <poll.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/wait.h"
#include "memory/arena.h"
#include "memory/doorbell.h"
#include "transport/operation.h"
#include "transport/transport.h"

namespace weft {

struct EndpointOptions {
  wire::Bytes16 mesh_id{};
  uint64_t epoch = 1;
  uint32_t member = 0;
  wire::Bytes32 config_hash{};
  std::string host;  // the address that peers know us by
  size_t arena_bytes = 0;
  std::vector<ArenaRange> hot;  // of them, what is used in every round
  WaitPolicy wait;
};

struct PeerSpec {
  uint32_t member = 0;
  std::string transport;  // by name
  std::string address;    // when we dial
  bool dial = false;      // otherwise the peer dials us
  wire::Bytes32 our_proof{};
  wire::Bytes32 their_proof{};
  std::vector<Inbound> inbound;
};

class Endpoint {
 public:
  static Expected<std::unique_ptr<Endpoint>> create(const EndpointOptions& options);
  ~Endpoint();

  Arena& arena() { return *arena_; }
  const EndpointOptions& options() const { return options_; }

  // Starts to listen; returns the address for peers.
  Expected<std::string> listen(const Transport& transport, const std::string& host, const std::string& key);
  // The same with a socket that listens already: addresses are announced before an endpoint knows its member
  // id.
  void adopt(const Transport& transport, Fd listener) {
    listeners_.emplace_back(&transport, std::move(listener));
  }
  // Shakes hands with every peer, or fails naming the first that did not answer in time. Afterwards nobody
  // else can connect any more. link(i) belongs to peers[i].
  Expected<void> connect(std::vector<PeerSpec> peers, int64_t deadline, const std::atomic<bool>* cancelled);

  size_t peers() const { return links_.size(); }
  Link& link(size_t peer) const { return *links_[peer]; }
  uint32_t member(size_t peer) const { return specs_[peer].member; }
  const std::string& transport_of(size_t peer) const { return specs_[peer].transport; }
  // `ok` while the peer is up, otherwise why not.
  Code peer_state(size_t peer) const;

  // Gives a peer up: from now on it is lost for us, and we are for it. Slots that it kept in use come back.
  void drop(size_t peer);
  // A peer broke the protocol.
  void condemn(size_t peer);

  // Once connected: peers will get leases in this memory of the arena, which makes those cheap
  // (pages/lease.h).
  Expected<void> prepare(std::span<std::byte> memory);

  // Blocks the calling thread until the operation ends, its deadline passes or `cancel_flag` (of the
  // caller's, may be null) becomes non-zero. One caller at a time.
  Code wait(Operation& operation, const std::atomic<int32_t>* cancel_flag = nullptr);
  // Leaves the operation to the service thread, which calls on_end. False: too many are under way, or closed.
  // Once interrupted, only close() ends it.
  bool submit(Operation& operation);
  // Makes the service thread look again, after something that it looks at has changed: an operation, its
  // cancellation, closing.
  void nudge();
  // After Link::publish() left bytes behind that no waiter will move.
  void keep_sending();

  // For a process that exits: ends connect(), the blocking wait with `closed`, if there is one, and those to
  // come, and the service thread; closes nothing. From any thread but that.
  void interrupt();
  // Ends every wait with `closed`, says goodbye to every peer, closes every connection. Idempotent; from any
  // thread but the service thread (not from on_end).
  void close();
  bool closed() const { return closed_.load(std::memory_order_acquire); }

 private:
  static constexpr size_t kMaxOperations = 64;

  explicit Endpoint(const EndpointOptions& options) : options_(options) {}

  Expected<void> greet(size_t peer, int64_t deadline);                   // as the one who dials
  void answer(Fd socket, const Transport& transport, int64_t deadline);  // as the one who is dialled
  Local local(const Transport& transport) const;
  wire::Hello hello_to(size_t peer, wire::HelloKind kind) const;
  wire::HelloExpectation expect_from(size_t peer, wire::HelloKind kind) const;
  Expected<void> install(size_t peer, Session session);
  Expected<void> accept_all(int64_t deadline, const std::atomic<bool>* cancelled);

  Expected<void> make_engines();
  bool progress();             // of every engine
  bool engines_awake() const;  // something may come to one
  // No blocking wait may go on, nor the service thread.
  bool over() const { return closed_.load() || interrupted_.load(); }
  bool serve_operations();
  void serve();
  void end_service();
  void end(size_t i, Code code);
  // Sleeps until the bay's doorbell rings, a descriptor is ready or `until` passes. Only between Asleep's two
  // ends, and after the condition was looked at once more. `engines`: watch those too; one that has
  // something to do already keeps us awake.
  void sleep(Bay bay, int64_t until, bool engines);

  static constexpr uint32_t bit(Bay bay) { return 1u << static_cast<uint32_t>(bay); }
  // SYNC POINT doorbell, the reader's half: from here on writers ring for these bits.
  class Asleep {
   public:
    Asleep(std::atomic<uint32_t>& parked, uint32_t bits) : parked_(parked), bits_(bits) {
      parked_.fetch_or(bits_, std::memory_order_seq_cst);
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    ~Asleep() { parked_.fetch_and(~bits_, std::memory_order_relaxed); }

   private:
    std::atomic<uint32_t>& parked_;
    uint32_t bits_;
  };

  EndpointOptions options_;
  int cores_ = 1;
  std::unique_ptr<Arena> arena_;
  Doorbell own_bell_;
  std::array<std::vector<pollfd>, kBays> poll_lists_;  // sleep()'s, sized by connect()
  std::vector<PeerSpec> specs_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<std::pair<const Transport*, std::unique_ptr<Engine>>> shared_engines_;
  std::vector<Engine*> engines_;    // of all links, each once
  bool engines_bring_all_ = false;  // no rows come without one
  std::vector<std::pair<const Transport*, Fd>> listeners_;

  struct Handshakes;
  Handshakes* handshakes_ = nullptr;  // while connect() runs
  std::mutex connect_lock_;           // held by connect(); close() waits until it has noticed

  std::array<std::atomic<Operation*>, kMaxOperations> operations_{};
  std::atomic<uint32_t> submitted_{0};
  std::atomic<bool> caller_waits_{false};   // a blocking wait is under way,
  std::atomic<bool> caller_sleeps_{false};  // has begun to sleep in it and watches the engines itself,
  std::atomic<bool> caller_waited_{false};  // or was under way since the service thread last looked
  std::atomic<bool> service_sleeps_{false};
  std::atomic<bool> ticking_{false};  // the service thread will look again within a tick
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> closed_{false};
  std::thread service_;
};

}  // namespace weft
