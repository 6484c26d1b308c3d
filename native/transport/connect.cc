// Listening, dialling and shaking hands. docs/protocol.md "Handshake".
//   dialler            acceptor
//   hello      ->                  the acceptor checks it, then
//              <-      accept      (or reject, and closes)
//   ready      ->                  each side makes its link
// On transports that share memory, descriptors ride with `accept` and `ready`: never to a peer that is not
// proven.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <thread>

#include "memory/fd_passing.h"
#include "transport/endpoint.h"
#include "transport/self_link.h"
#include "transport/socket.h"

namespace weft {

namespace {

// A connection that has not proven itself by then is dropped, so that a silent stranger can't hold a place.
constexpr int64_t kStrangerNs = 5'000'000'000;
constexpr size_t kMaxStrangers = 256;
constexpr useconds_t kCrowdedUs = 2000;
constexpr int64_t kDialTurnNs = 100'000'000;

// One who knocked: answered by a thread of its own.
struct Stranger {
  std::atomic<bool> done{false};
  std::jthread thread;
};

// A reject is not authenticated: what it gives as the reason is one of those that acceptors have, or nothing.
Code reason_of(const wire::Hello& reject) {
  switch (static_cast<Code>(reject.reason)) {
    case Code::auth:
    case Code::config_mismatch:
    case Code::state:
      return static_cast<Code>(reject.reason);
    default:
      return Code::protocol;
  }
}

std::span<std::byte> bytes_of(wire::Hello& hello) { return std::as_writable_bytes(std::span(&hello, 1)); }

Error blame(Error error, uint32_t member) {
  error.phase = Phase::connect;
  error.peer = static_cast<int32_t>(member);
  return error;
}

}  // namespace

// What the threads of one connect() share.
struct Endpoint::Handshakes {
  std::mutex lock;
  std::vector<bool> done;
  size_t open = 0;
  std::atomic<bool> stop{false};
  std::vector<Error> errors;  // of peers that proved themselves, or that we dialled

  void failed(Error error) {
    std::lock_guard hold(lock);
    errors.push_back(std::move(error));
  }
};

Expected<std::string> Endpoint::listen(const Transport& transport, const std::string& host,
                                       const std::string& key) {
  auto listener = transport.listen(host, key);
  if (!listener) return std::unexpected(listener.error());
  adopt(transport, std::move(listener->first));
  return std::move(listener->second);
}

wire::Hello Endpoint::hello_to(size_t peer, wire::HelloKind kind) const {
  wire::Hello hello;
  hello.kind = kind;
  hello.mesh_id = options_.mesh_id;
  hello.epoch = options_.epoch;
  hello.from = options_.member;
  hello.to = specs_[peer].member;
  hello.config_hash = options_.config_hash;
  hello.proof = specs_[peer].our_proof;
  const Transport* transport = find_transport(specs_[peer].transport);
  hello.arena_bytes = transport->shares_memory() ? arena_->size() : 0;
  seal(hello);
  return hello;
}

wire::HelloExpectation Endpoint::expect_from(size_t peer, wire::HelloKind kind) const {
  return {kind,
          options_.mesh_id,
          options_.epoch,
          specs_[peer].member,
          options_.member,
          options_.config_hash,
          specs_[peer].their_proof};
}

Local Endpoint::local(const Transport& transport) const {
  Local local{arena_.get(), &own_bell_, options_.epoch, options_.host};
  for (const auto& [made_by, engine] : shared_engines_)
    if (made_by == &transport) local.engine = engine.get();
  return local;
}

Expected<void> Endpoint::make_engines() {
  for (const Transport* transport : all_transports()) {
    const auto links = std::count_if(specs_.begin(), specs_.end(), [&](const PeerSpec& spec) {
      return spec.transport == transport->name();
    });
    if (links == 0) continue;
    auto engine = transport->engine(local(*transport), static_cast<size_t>(links));
    if (!engine) return std::unexpected(engine.error());
    if (*engine) shared_engines_.emplace_back(transport, std::move(*engine));
  }
  return {};
}

Expected<void> Endpoint::install(size_t peer, Session session) {
  session.inbound = specs_[peer].inbound;
  session.stop = &handshakes_->stop;
  const Transport& transport = *find_transport(specs_[peer].transport);
  auto link = transport.link(local(transport), std::move(session));
  if (!link) return std::unexpected(link.error());
  std::lock_guard hold(handshakes_->lock);
  if (handshakes_->done[peer]) return fail(Code::protocol, "connected twice");
  handshakes_->done[peer] = true;
  --handshakes_->open;
  links_[peer] = std::move(*link);
  return {};
}

Expected<void> Endpoint::greet(size_t peer, int64_t deadline) {
  const Transport& transport = *find_transport(specs_[peer].transport);
  Expected<Fd> socket = fail(Code::deadline, "nothing listens there");
  do {  // in short turns, so that a failure elsewhere ends this too
    socket = transport.dial(specs_[peer].address, std::min(deadline, now_ns() + kDialTurnNs));
  } while (!socket && socket.error().code == Code::deadline && now_ns() < deadline && !handshakes_->stop);
  if (!socket) return std::unexpected(socket.error());
  if (auto known = transport.check_peer(socket->get()); !known) return known;
  wire::Hello hello = hello_to(peer, wire::HelloKind::hello);
  const auto* stop = &handshakes_->stop;
  if (auto sent = send_with_fds(socket->get(), bytes_of(hello), {}, deadline, stop); !sent) return sent;
  Session session;
  if (auto got = recv_with_fds(socket->get(), bytes_of(session.hello), session.fds, deadline, stop); !got)
    return got;
  if (validate_shape(session.hello) == Code::ok && session.hello.kind == wire::HelloKind::reject)
    return fail(reason_of(session.hello), "the peer refused the handshake");
  if (const Code code = validate(session.hello, expect_from(peer, wire::HelloKind::accept)); code != Code::ok)
    return fail(code, "the peer's answer to the handshake is not valid");
  hello = hello_to(peer, wire::HelloKind::ready);
  if (auto sent = send_with_fds(socket->get(), bytes_of(hello), transport.descriptors(local(transport)),
                                deadline, stop);
      !sent)
    return sent;
  session.socket = std::move(*socket);
  session.deadline = deadline;
  return install(peer, std::move(session));
}

void Endpoint::answer(Fd socket, const Transport& transport, int64_t proven_deadline) {
  int64_t deadline = std::min(proven_deadline, now_ns() + kStrangerNs);
  if (!transport.check_peer(socket.get())) return;
  const auto* stop = &handshakes_->stop;
  Session session;
  if (!recv_with_fds(socket.get(), bytes_of(session.hello), session.fds, deadline, stop)) return;
  if (validate_shape(session.hello) != Code::ok) return;
  const auto spec = std::find_if(specs_.begin(), specs_.end(), [&](const PeerSpec& candidate) {
    return !candidate.dial && candidate.member == session.hello.from &&
           candidate.transport == transport.name();
  });
  Code code = Code::auth;
  size_t peer = 0;
  if (spec != specs_.end()) {
    peer = static_cast<size_t>(spec - specs_.begin());
    code = validate(session.hello, expect_from(peer, wire::HelloKind::hello));
    std::lock_guard hold(handshakes_->lock);
    if (code == Code::ok && handshakes_->done[peer]) code = Code::state;  // a replay of what once was valid
  }
  if (code != Code::ok) {
    wire::Hello reject;
    reject.kind = wire::HelloKind::reject;
    reject.reason = static_cast<uint32_t>(code);
    seal(reject);
    (void)send_with_fds(socket.get(), bytes_of(reject), {}, deadline, stop);
    // Only a peer that proved itself may make our connect() fail; a stranger is merely turned away.
    if (code == Code::config_mismatch)
      handshakes_->failed(
          blame({code, {}, {}, 0, "the peer was set up with another configuration"}, spec->member));
    return;
  }
  deadline = proven_deadline;  // who has proven itself may take its time
  wire::Hello hello = hello_to(peer, wire::HelloKind::accept);
  auto done =
      send_with_fds(socket.get(), bytes_of(hello), transport.descriptors(local(transport)), deadline, stop);
  if (done) done = recv_with_fds(socket.get(), bytes_of(session.hello), session.fds, deadline, stop);
  if (done && validate(session.hello, expect_from(peer, wire::HelloKind::ready)) != Code::ok)
    done = fail(Code::protocol, "the peer did not finish the handshake");
  session.socket = std::move(socket);
  session.deadline = deadline;
  if (done) done = install(peer, std::move(session));
  if (!done) handshakes_->failed(blame(done.error(), spec->member));
}

Expected<void> Endpoint::accept_all(int64_t deadline, const std::atomic<bool>* cancelled) {
  std::list<Stranger> strangers;
  // However this ends, whoever is still being answered is not waited for.
  struct Stop {
    std::atomic<bool>& flag;
    ~Stop() { flag = true; }
  } stop{handshakes_->stop};
  for (;;) {
    strangers.remove_if([](const Stranger& stranger) { return stranger.done.load(); });
    {
      std::lock_guard hold(handshakes_->lock);
      if (!handshakes_->errors.empty()) return std::unexpected(handshakes_->errors.front());
      if (handshakes_->open == 0) return {};
      if ((cancelled != nullptr && cancelled->load()) || over())
        return std::unexpected(Error{Code::aborted, Phase::connect, kNoPeer, 0, "connecting was aborted"});
      if (now_ns() >= deadline) {
        for (size_t i = 0; i < specs_.size(); ++i)
          if (!handshakes_->done[i])
            return std::unexpected(
                blame({Code::deadline, {}, {}, 0, "the peer did not connect in time"}, specs_[i].member));
      }
    }
    std::vector<pollfd> fds;
    for (const auto& [transport, listener] : listeners_) fds.push_back({listener.get(), POLLIN, 0});
    if (strangers.size() >= kMaxStrangers) {
      usleep(kCrowdedUs);
      continue;
    }
    if (poll(fds.data(), fds.size(), 10) <= 0) continue;
    for (size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      if (auto socket = accept_one(fds[i].fd)) {
        Stranger& stranger = strangers.emplace_back();
        stranger.thread = std::jthread([this, i, deadline, &stranger, socket = std::move(*socket)]() mutable {
          answer(std::move(socket), *listeners_[i].first, deadline);
          stranger.done = true;
        });
      }
    }
  }
}

Expected<void> Endpoint::connect(std::vector<PeerSpec> peers, int64_t deadline,
                                 const std::atomic<bool>* cancelled) {
  std::lock_guard connecting(connect_lock_);
  specs_ = std::move(peers);
  links_.resize(specs_.size());
  if (auto made = make_engines(); !made) return made;
  Handshakes handshakes;
  handshakes.done.resize(specs_.size());
  handshakes.open = specs_.size();
  handshakes_ = &handshakes;
  for (size_t i = 0; i < specs_.size(); ++i) {
    if (specs_[i].transport != kSelf) continue;
    links_[i] = std::make_unique<SelfLink>(Local{arena_.get(), &own_bell_, options_.epoch, options_.host},
                                           specs_[i].inbound);
    handshakes.done[i] = true;
    --handshakes.open;
  }
  Expected<void> outcome;
  {
    std::vector<std::jthread> diallers;
    for (size_t i = 0; i < specs_.size(); ++i) {
      if (!specs_[i].dial || specs_[i].transport == kSelf) continue;
      diallers.emplace_back([this, i, deadline] {
        if (auto done = greet(i, deadline); !done) handshakes_->failed(blame(done.error(), specs_[i].member));
      });
    }
    outcome = accept_all(deadline, cancelled);
    handshakes.stop = true;
  }
  handshakes_ = nullptr;
  listeners_.clear();
  if (!outcome) return outcome;
  engines_bring_all_ = !links_.empty();
  for (size_t i = 0; i < links_.size(); ++i) {
    const auto& link = links_[i];
    if (specs_[i].transport == kSelf) continue;
    Engine* engine = link->engine();
    const bool known = std::find(engines_.begin(), engines_.end(), engine) != engines_.end();
    if (engine != nullptr && !known) engines_.push_back(engine);
    engines_bring_all_ = engines_bring_all_ && link->packs_rows();
  }
  for (auto& list : poll_lists_) list.reserve(1 + engines_.size() + links_.size());
  service_ = std::thread([this] { serve(); });
  return {};
}

}  // namespace weft
