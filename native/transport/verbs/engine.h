// What all verbs links of an endpoint share: the open ports, the registered arena, and the one place where
// completions are taken and handed to their links.
#pragma once

#include <mutex>
#include <unordered_map>

#include "memory/fd.h"
#include "transport/transport.h"
#include "transport/verbs/adapter.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

class VerbsLink;

class VerbsEngine : public Engine {
 public:
  // For that many links, over each of the rails.
  static Expected<std::unique_ptr<VerbsEngine>> open(const Local& local, std::vector<Rail> rails,
                                                     size_t links);

  bool progress() override;
  bool arm() override;
  int fd() const override { return events_.get(); }

  // Takes all that has completed.
  void drain();
  // Nobody handles a completion while it is held.
  std::unique_lock<std::mutex> hold() { return std::unique_lock(lock_); }

  uint32_t epoch() const { return epoch_; }
  size_t rails() const { return rails_.size(); }
  Adapter& adapter(size_t rail) const { return *adapters_[rails_[rail]]; }
  uint32_t arena_key(size_t rail) const { return arena_[rails_[rail]]->lkey; }
  // Registers memory with every device: by rail.
  Expected<std::vector<Region>> expose(std::byte* data, size_t bytes, bool to_writes) const;
  const ibv_mr& of_rail(const std::vector<Region>& regions, size_t rail) const {
    return *regions[rails_[rail]];
  }

  Expected<void> prepare(std::span<std::byte> memory) override;
  // Hands over what memory was registered as by prepare(); false: it was not.
  template <class F>
  bool prepared(std::span<const std::byte> memory, F&& f) {
    const auto still = hold();
    for (const auto& [all, regions] : prepared_)
      if (memory.data() >= all.data() && memory.data() + memory.size() <= all.data() + all.size())
        return f(regions), true;
    return false;
  }

  void add(VerbsLink& link, size_t rail, uint32_t queue_pair);
  void remove(const VerbsLink& link);

 private:
  struct Owner {
    VerbsLink* link;
    size_t rail;
  };
  bool poll();
  bool sweep();
  void handle(Adapter& adapter, const ibv_wc& done);

  uint32_t epoch_ = 0;  // low 32 bits
  std::mutex lock_;
  std::vector<std::unique_ptr<Adapter>> adapters_;
  std::vector<size_t> rails_;  // adapter of each
  std::vector<Region> arena_;  // by adapter
  std::vector<std::pair<std::span<std::byte>, std::vector<Region>>> prepared_;
  std::unordered_map<uint64_t, Owner> owners_;  // by adapter and queue pair
  std::vector<VerbsLink*> failing_;             // a request of theirs has failed since the last sweep
  Fd events_;                                   // epoll, of every completion channel
};

}  // namespace weft::verbs

#endif
