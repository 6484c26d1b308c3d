// libFuzzer entry: a hostile stream into the receiving half of a tcp link. Whatever comes, nothing outside
// the mirrors' regions is written, and what a reader sees is within all bounds. Broken rules end the process.
//
// Input: [shape][chunks][release] then the stream. Built with clang: -fsanitize=fuzzer,address; without it
// the tests feed it (native/test/transport/tcp/receiver_fuzz_test.cc).
#include "fuzz/tcp_receiver.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "memory/fd.h"
#include "memory/mapping.h"
#include "transport/tcp/receiver.h"

namespace weft::fuzz {

const wire::PublicationShape& shape(unsigned which) {
  static const wire::PublicationShape shapes[kShapes] = {
      {3, 8, 4, true, 16, {4, 1}},                                   // routed
      {2, 5, 1, false, 0, {2, 2}},                                   // inline rows
      {2, 2, 1, true, 0, {4, 4, 4}, 1u << 1 | 1u << 2},              // inline rows with choices
      {2, 30, 3, true, 300, {200, 40, 8, 8, 3}, 1u << 2 | 1u << 3},  // as rows with choices
  };
  return shapes[which % kShapes];
}

namespace {

constexpr size_t kGuard = 4096;
constexpr std::byte kPaint{0xA5};

[[noreturn]] void broken(const char* rule) {
  std::fprintf(stderr, "tcp receiver: %s\n", rule);
  std::abort();
}

struct Target {
  uint16_t publication, destination;
  wire::PublicationLayout layout;
  size_t offset;
};

class Harness {
 public:
  Harness(unsigned shape_number, unsigned chunks, unsigned release)
      : chunks_(chunks * 2654435761u + 1), tiny_(chunks == 255), release_(release) {
    size_t at = kGuard;
    for (const auto& [publication, destination] : kStreams) {
      targets_.push_back({publication, destination, wire::PublicationLayout(shape(shape_number)), at});
      at += targets_.back().layout.bytes() + kGuard;
    }
    for (size_t& lease : leases_at_) {
      lease = at;
      at += kLeaseBytes + kGuard;
    }
    memory_ = *Mapping::anonymous(at);
    std::vector<Inbound> inbound;
    for (const Target& t : targets_) inbound.push_back({t.publication, t.destination, t.offset, &t.layout});
    receiver_ = std::make_unique<TcpReceiver>(kEpoch, std::move(inbound), memory_, leases_);
    for (const size_t lease : leases_at_)
      (void)leases_.open({memory_->data() + lease, kLeaseBytes}, kLeaseCounters);
    leases_.close(1);  // nobody writes there any more
    used_.assign(at, false);
    for (const Target& t : targets_) mark(t);
    std::fill_n(used_.begin() + static_cast<ptrdiff_t>(leases_at_[0]), kLeaseBytes, true);
    for (size_t i = 0; i < at; ++i)
      if (!used_[i]) memory_->data()[i] = kPaint;
    for (const Target& t : targets_) seen_.emplace_back(t.layout.shape().depth);
    released_ = seen_;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) broken("no sockets");
    near_ = Fd(fds[0]);
    far_ = Fd(fds[1]);
  }

  Received run(const uint8_t* data, size_t size) {
    Received last = Received::nothing;
    for (size_t at = 0; at < size;) {
      const ssize_t n = send(near_.get(), data + at, std::min(next_chunk(), size - at), MSG_NOSIGNAL);
      if (n > 0) at += static_cast<size_t>(n);
      for (Received now; (now = receiver_->receive(far_.get())) != Received::nothing;) {
        look();
        last = now;
        if (now != Received::bytes && now != Received::round) return finish(last);
      }
    }
    return finish(last);
  }

 private:
  Received finish(Received last) {
    for (size_t i = 0; i < used_.size(); ++i)
      if (!used_[i] && memory_->data()[i] != kPaint) broken("wrote outside the regions");
    return last;
  }

  void mark(const Target& t) {
    const auto& s = t.layout.shape();
    const auto use = [&](size_t at, size_t bytes) {
      std::fill_n(used_.begin() + static_cast<ptrdiff_t>(t.offset + at), bytes, true);
    };
    for (uint32_t slot = 0; slot < s.depth; ++slot) {
      use(t.layout.head(slot), offsetof(wire::SlotHead, inline_rows));
      use(t.layout.meta(slot), s.meta_capacity);
      // Of the lists only our own is written.
      if (s.lists) use(t.layout.list(slot, t.destination), sizeof(wire::RowList) + size_t{4} * s.max_rows);
      for (uint32_t c = 0; c < s.column_bytes.size(); ++c)
        use(t.layout.column(slot, c), size_t{s.column_bytes[c]} * s.max_rows);
    }
  }

  size_t next_chunk() {
    if (tiny_) return 1;
    chunks_ = chunks_ * 1664525 + 1013904223;
    switch (chunks_ >> 30) {
      case 0:
        return 1 + (chunks_ >> 8) % 8;
      case 1:
        return 1 + (chunks_ >> 8) % 200;
      default:
        return 1 + (chunks_ >> 8) % 40'000;
    }
  }

  // What a reader does, and what it relies on.
  void look() {
    for (uint16_t c = 0; c < kLeaseCounters; ++c)
      if ((*leases_.counters(1))[c].load() != 0) broken("counted for a lease that is over");
    for (size_t i = 0; i < targets_.size(); ++i) {
      const Target& t = targets_[i];
      const auto& s = t.layout.shape();
      const std::byte* base = std::as_const(*receiver_).mirror(i);
      for (uint32_t slot = 0; slot < s.depth; ++slot) {
        const wire::SlotHead& head = t.layout.head_of(base, slot);
        const uint64_t state = head.state.load(std::memory_order_acquire);
        if (state < seen_[i][slot]) broken("a state word went back");
        const bool news = state != seen_[i][slot];
        seen_[i][slot] = state;
        const uint64_t generation = wire::generation_of(state);
        if (generation == released_[i][slot])
          continue;  // not read any more: the next round may be on its way in
        if (generation % s.depth != slot) broken("a generation in a slot that isn't its own");
        if (head.rows > s.max_rows || wire::final_rows_of(state) > head.rows) broken("rows out of bounds");
        if (head.meta_bytes > s.meta_capacity) broken("metadata out of bounds");
        if (head.flags & wire::kRouted) {
          if (!s.lists) broken("lists where there are none");
          const wire::RowList& list = t.layout.list_of(base, slot, t.destination);
          if (list.count > head.rows) broken("a list longer than the round");
          for (uint32_t r = 0; r < list.count; ++r)
            if (list.rows[r] >= head.rows || (r > 0 && list.rows[r] <= list.rows[r - 1]))
              broken("a bad list");
        }
        const bool complete = wire::final_rows_of(state) == head.rows;
        if (!news || !complete || release_ % 4 == 0) continue;
        receiver_->release(i, generation);
        released_[i][slot] = generation;
      }
    }
  }

  std::vector<Target> targets_;
  size_t leases_at_[2];
  std::shared_ptr<Mapping> memory_;
  Leases leases_;
  std::unique_ptr<TcpReceiver> receiver_;
  std::vector<bool> used_;
  std::vector<std::vector<uint64_t>> seen_, released_;  // [target][slot]
  Fd near_, far_;
  uint32_t chunks_;
  bool tiny_;
  unsigned release_;
};

}  // namespace

Received feed_tcp_receiver(const uint8_t* data, size_t size) {
  if (size < 3) return Received::nothing;
  return Harness(data[0], data[1], data[2]).run(data + 3, size - 3);
}

}  // namespace weft::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weft::fuzz::feed_tcp_receiver(data, size);
  return 0;
}
