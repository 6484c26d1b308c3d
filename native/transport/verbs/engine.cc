#include "transport/verbs/engine.h"

#if WEFT_HAVE_VERBS

#include <arpa/inet.h>
#include <sched.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/clock.h"
#include "transport/verbs/verbs_link.h"

namespace weft::verbs {

Expected<std::unique_ptr<VerbsEngine>> VerbsEngine::open(const Local& local, std::vector<Rail> rails,
                                                         size_t links) {
  const auto verbs = verbs::library();
  if (!verbs) return std::unexpected(verbs.error());
  std::unique_ptr<VerbsEngine> engine(new VerbsEngine);
  engine->epoch_ = static_cast<uint32_t>(local.epoch);
  engine->events_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!engine->events_) return fail(Code::system, "epoll_create1", errno);
  const auto same = [](const Rail& a, const Rail& b) {
    return a.device == b.device && a.port == b.port && a.address.index == b.address.index;
  };
  std::vector<Rail> opened;
  for (const Rail& rail : rails) {
    const auto known =
        std::find_if(opened.begin(), opened.end(), [&](const Rail& r) { return same(r, rail); });
    engine->rails_.push_back(static_cast<size_t>(known - opened.begin()));
    if (known != opened.end()) continue;
    opened.push_back(rail);
    const auto pairs =
        std::count_if(rails.begin(), rails.end(), [&](const Rail& r) { return same(r, rail); });
    auto adapter = Adapter::open(**verbs, rail, links * static_cast<size_t>(pairs));
    if (!adapter) return std::unexpected(adapter.error());
    epoll_event event{EPOLLIN, {}};
    if (epoll_ctl(engine->events_.get(), EPOLL_CTL_ADD, (*adapter)->fd(), &event) != 0)
      return fail(Code::system, "epoll_ctl", errno);
    engine->adapters_.push_back(std::move(*adapter));
  }
  auto arena = engine->expose(local.arena->data(), local.arena->size(), false);
  if (!arena) return std::unexpected(arena.error());
  engine->arena_ = std::move(*arena);
  return engine;
}

Expected<std::vector<Region>> VerbsEngine::expose(std::byte* data, size_t bytes, bool to_writes) const {
  std::vector<Region> regions;
  for (const auto& adapter : adapters_) {
    auto region = adapter->expose(data, bytes, to_writes);
    if (!region) return std::unexpected(region.error());
    regions.push_back(std::move(*region));
  }
  return regions;
}

Expected<void> VerbsEngine::prepare(std::span<std::byte> memory) {
  auto regions = expose(memory.data(), memory.size(), true);
  if (!regions) return std::unexpected(regions.error());
  const auto nobody_leases = hold();
  prepared_.emplace_back(memory, std::move(*regions));
  return {};
}

void VerbsEngine::add(VerbsLink& link, size_t rail, uint32_t queue_pair) {
  std::lock_guard hold(lock_);
  owners_[uint64_t{rails_[rail]} << 32 | queue_pair] = {&link, rail};
}

void VerbsEngine::remove(const VerbsLink& link) {
  std::lock_guard hold(lock_);
  std::erase_if(owners_, [&](const auto& entry) { return entry.second.link == &link; });
  std::erase(failing_, &link);
}

bool VerbsEngine::progress() {
  if (!lock_.try_lock()) {
    sched_yield();  // the holder may share our core
    return false;
  }
  const bool moved = poll();
  lock_.unlock();
  return moved;
}

void VerbsEngine::drain() {
  std::lock_guard hold(lock_);
  const int64_t until = now_ns() + kDrainNs;
  while (poll() && now_ns() < until) continue;
}

bool VerbsEngine::arm() {
  if (!lock_.try_lock()) return false;
  for (const auto& adapter : adapters_) adapter->arm();
  const bool moved = poll();
  lock_.unlock();
  return !moved;
}

bool VerbsEngine::poll() {
  bool moved = sweep();
  if (failing_.empty()) return moved;
  // What came before a link failed counts, over all of its rails.
  const int64_t until = now_ns() + kDrainNs;
  while (sweep() && now_ns() < until) continue;
  for (VerbsLink* link : std::exchange(failing_, {})) link->end(LinkState::lost);
  return true;
}

bool VerbsEngine::sweep() {
  bool moved = false;
  for (const auto& adapter : adapters_) {
    const auto all = adapter->poll();
    for (const ibv_wc& done : all) handle(*adapter, done);
    moved |= !all.empty();
  }
  return moved;
}

void VerbsEngine::handle(Adapter& adapter, const ibv_wc& done) {
  const auto number =
      std::find_if(adapters_.begin(), adapters_.end(), [&](const auto& a) { return a.get() == &adapter; }) -
      adapters_.begin();
  const auto owner = owners_.find(static_cast<uint64_t>(number) << 32 | done.qp_num);
  if (owner == owners_.end()) return;  // of a link that has ended
  const auto [link, rail] = owner->second;
  if (done.status != IBV_WC_SUCCESS) {
    if (link->note_failure(name_of(done.status))) failing_.push_back(link);
  } else if (done.wr_id == kReceive) {
    link->arrived(rail, ntohl(done.imm_data));
  } else {
    link->retired(rail, done.wr_id);
  }
}

}  // namespace weft::verbs

#endif
