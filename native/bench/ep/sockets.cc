#include "bench/ep/sockets.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/ep/packed.h"
#include "core/cpu.h"
#include "kernels/reduce.h"

namespace weft::bench::ep {

namespace {

constexpr size_t kMostPieces = 512;

// What goes over one socket in a phase, in both directions at a time: two ranks that both send first and
// receive then would wait for each other when the kernel's buffers are full.
struct Way {
  std::vector<iovec> out, in;
  size_t out_at = 0, in_at = 0;

  void clear() { out.clear(), in.clear(), out_at = in_at = 0; }
  void send(const void* data, size_t bytes) {
    auto* base = static_cast<char*>(const_cast<void*>(data));
    if (!out.empty() && static_cast<char*>(out.back().iov_base) + out.back().iov_len == base)
      out.back().iov_len += bytes;
    else if (bytes > 0)
      out.push_back({base, bytes});
  }
  void receive(void* data, size_t bytes) {
    if (bytes > 0) in.push_back({data, bytes});
  }
};

// Takes `n` bytes off a list of pieces.
void step(std::vector<iovec>& pieces, size_t& at, size_t n) {
  while (n > 0) {
    iovec& piece = pieces[at];
    const size_t part = std::min(n, piece.iov_len);
    piece.iov_base = static_cast<char*>(piece.iov_base) + part;
    piece.iov_len -= part;
    n -= part;
    if (piece.iov_len == 0) ++at;
  }
}

class SocketFloor : public Contender {
 public:
  SocketFloor(const Work& work, std::span<const Fd> peers, uint32_t rank, bool yields)
      : work_(work),
        rank_(rank),
        yields_(yields),
        own_(work),
        packed_(work, rank),
        outputs_(*Mapping::anonymous(work.most_rows() * work.output_bytes())),
        received_(*Mapping::anonymous(work.choices() * work.ranks * work.output_bytes())),
        result_(*Mapping::anonymous(work.tokens * work.output_bytes())),
        sources_(work.ranks, Source(work)),
        ways_(work.ranks),
        sockets_(work.ranks, -1),
        lists_(work.ranks) {
    for (uint32_t r = 0, i = 0; r < work.ranks; ++r)
      if (r != rank) sockets_[r] = peers[i++].get();
  }

  Code prepare(uint64_t, const Tokens& tokens) override {
    own_ = tokens;
    return Code::ok;
  }

  Code dispatch() override {
    choose();
    // First how many rows, then everything of them: the receiver places each column as it comes.
    for (uint32_t r = 0; r < work_.ranks; ++r) {
      ways_[r].clear();
      if (r == rank_) continue;
      Way& way = ways_[r];
      counts_out_[r] = static_cast<uint32_t>(lists_[r].size());
      way.send(&counts_out_[r], sizeof(uint32_t));
      way.send(lists_[r].data(), lists_[r].size() * sizeof(uint32_t));
      for (const uint32_t t : lists_[r])
        way.send(own_.rows.data() + t * work_.row_bytes(), work_.row_bytes());
      for (const uint32_t t : lists_[r])
        way.send(reinterpret_cast<const std::byte*>(own_.scales.data()) + t * work_.scale_bytes(),
                 work_.scale_bytes());
      for (const uint32_t t : lists_[r]) way.send(own_.experts.data() + t * work_.top_k, work_.top_k * 4);
      for (const uint32_t t : lists_[r]) way.send(own_.weights.data() + t * work_.top_k, work_.top_k * 4);
      way.receive(&sources_[r].count, sizeof(uint32_t));
    }
    if (!move([&](uint32_t r) { return expect_rows(r); })) return Code::peer_lost;
    return group();
  }

  const std::byte* row(size_t i) const override { return packed_.row(i); }
  const std::byte* scales(size_t i) const override { return packed_.scales(i); }
  size_t rows() const override { return packed_.rows(); }
  uint16_t* output(size_t i) override {
    return reinterpret_cast<uint16_t*>(outputs_->data()) + i * work_.hidden;
  }

  Code combine() override {
    const size_t bytes = work_.output_bytes();
    for (uint32_t r = 0; r < work_.ranks; ++r) {
      Way& way = ways_[r];
      way.clear();
      if (r == rank_) continue;
      for (const uint32_t place : sources_[r].places) way.send(outputs_->data() + place * bytes, bytes);
      way.receive(received(r), owed_[r] * bytes);
    }
    if (!move([](uint32_t) { return false; })) return Code::peer_lost;
    std::vector<uint32_t> next(work_.experts);
    const uint16_t* inputs[64];
    auto* out = reinterpret_cast<uint16_t*>(result_->data());
    for (uint32_t t = 0; t < work_.tokens; ++t, out += work_.hidden) {
      for (uint32_t k = 0; k < work_.top_k; ++k) {
        const size_t i = size_t{t} * work_.top_k + k;
        const uint32_t r = work_.rank_of(own_.experts[i]);
        const std::byte* rows = r == rank_ ? outputs_->data() + sources_[rank_].place_of[i] * bytes
                                           : received(r) + order_[i] * bytes;
        inputs[k] = reinterpret_cast<const uint16_t*>(rows);
      }
      kernels::weighted_row(inputs, own_.weights.data() + size_t{t} * work_.top_k, work_.top_k, work_.hidden,
                            out);
    }
    return Code::ok;
  }
  const uint16_t* result() const override { return reinterpret_cast<const uint16_t*>(result_->data()); }

 private:
  // What a rank sent us, each row once.
  struct Source {
    explicit Source(const Work& work)
        : tokens(work.tokens),
          rows(work.tokens * work.row_bytes()),
          scales(work.tokens * work.scale_bytes()),
          experts(work.choices()),
          weights(work.choices()),
          place_of(work.choices()) {}
    uint32_t count = 0;
    bool known = false;
    std::vector<uint32_t> tokens;
    std::vector<std::byte> rows, scales;
    std::vector<int32_t> experts;
    std::vector<float> weights;
    std::vector<uint32_t> places;    // of what it is owed, in the order in which it expects that
    std::vector<uint32_t> place_of;  // by choice of the taken rows
  };

  std::byte* received(uint32_t r) const {
    return received_->data() + r * work_.choices() * work_.output_bytes();
  }

  // Who takes which rows, and in which order they answer: by expert, then by token.
  void choose() {
    std::vector<uint32_t> counts(work_.experts);
    for (const int32_t e : own_.experts) ++counts[static_cast<size_t>(e)];
    owed_.assign(work_.ranks, 0);
    for (uint32_t e = 0; e < work_.experts; ++e) {
      uint32_t& owed = owed_[work_.rank_of(static_cast<int32_t>(e))];
      const uint32_t count = counts[e];
      counts[e] = owed;
      owed += count;
    }
    order_.resize(work_.choices());
    for (auto& list : lists_) list.clear();
    for (uint32_t t = 0; t < work_.tokens; ++t)
      for (uint32_t k = 0; k < work_.top_k; ++k) {
        const size_t i = size_t{t} * work_.top_k + k;
        const uint32_t r = work_.rank_of(own_.experts[i]);
        order_[i] = counts[static_cast<size_t>(own_.experts[i])]++;
        if (lists_[r].empty() || lists_[r].back() != t) lists_[r].push_back(t);
      }
    for (Source& source : sources_) source.known = false;
    counts_out_.resize(work_.ranks);
  }

  bool expect_rows(uint32_t r) {
    Source& source = sources_[r];
    if (source.known) return false;
    source.known = true;
    Way& way = ways_[r];
    const size_t n = std::min(source.count, work_.tokens);
    way.receive(source.tokens.data(), n * sizeof(uint32_t));
    way.receive(source.rows.data(), n * work_.row_bytes());
    way.receive(source.scales.data(), n * work_.scale_bytes());
    way.receive(source.experts.data(), n * work_.top_k * 4);
    way.receive(source.weights.data(), n * work_.top_k * 4);
    return true;
  }

  // Both directions of all sockets, until all is out and in. more(r): called when all from r is in; true when
  // it has asked for more.
  template <class More>
  bool move(More&& more) {
    uint32_t open = 0;
    for (uint32_t r = 0; r < work_.ranks; ++r) open += r != rank_ ? 2 : 0;
    std::vector<bool> sent(work_.ranks), got(work_.ranks);
    while (open > 0) {
      bool moved = false;
      for (uint32_t r = 0; r < work_.ranks; ++r) {
        if (r == rank_) continue;
        Way& way = ways_[r];
        if (!sent[r]) {
          if (way.out_at == way.out.size()) {
            sent[r] = true;
            --open;
          } else {
            msghdr message{};
            message.msg_iov = way.out.data() + way.out_at;
            message.msg_iovlen = std::min(kMostPieces, way.out.size() - way.out_at);
            const ssize_t n = sendmsg(sockets_[r], &message, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
            if (n > 0) step(way.out, way.out_at, static_cast<size_t>(n)), moved = true;
          }
        }
        if (got[r]) continue;
        if (way.in_at == way.in.size()) {
          if (more(r)) continue;
          got[r] = true;
          --open;
          continue;
        }
        msghdr message{};
        message.msg_iov = way.in.data() + way.in_at;
        message.msg_iovlen = std::min(kMostPieces, way.in.size() - way.in_at);
        const ssize_t n = recvmsg(sockets_[r], &message, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return false;
        if (n > 0) step(way.in, way.in_at, static_cast<size_t>(n)), moved = true;
      }
      if (moved) continue;
      if (yields_)
        sched_yield();
      else
        cpu_pause();
    }
    return true;
  }

  Code group() {
    // Our own rows stay where they are.
    sources_[rank_].count = static_cast<uint32_t>(work_.tokens);
    const auto choices_of = [&](uint32_t r) {
      const auto& experts = r == rank_ ? own_.experts : sources_[r].experts;
      return std::span(experts).first(size_t{sources_[r].count} * work_.top_k);
    };
    for (Source& source : sources_) source.places.clear();
    packed_.sort(choices_of, [&](uint32_t r, uint32_t first, uint32_t count) {
      for (uint32_t i = 0; i < count; ++i) sources_[r].places.push_back(first + i);
    });
    const bool streams = packed_.rows() * work_.row_bytes() >= kernels::kStreamedBytes;
    for (uint32_t r = 0; r < work_.ranks; ++r) {
      const std::byte* rows = r == rank_ ? own_.rows.data() : sources_[r].rows.data();
      const std::byte* scales =
          r == rank_ ? reinterpret_cast<const std::byte*>(own_.scales.data()) : sources_[r].scales.data();
      const auto choices = choices_of(r);
      for (size_t i = 0; i < choices.size(); ++i) {
        if (work_.rank_of(choices[i]) != rank_) continue;
        const size_t row = i / work_.top_k;
        sources_[r].place_of[i] = packed_.put(choices[i], r, rows + row * work_.row_bytes(),
                                              scales + row * work_.scale_bytes(), streams);
      }
    }
    return Code::ok;
  }

  Work work_;
  uint32_t rank_;
  bool yields_;
  Tokens own_;
  Packed packed_;
  std::shared_ptr<Mapping> outputs_, received_, result_;
  std::vector<Source> sources_;
  std::vector<Way> ways_;
  std::vector<int> sockets_;
  std::vector<std::vector<uint32_t>> lists_;
  std::vector<uint32_t> counts_out_, owed_, order_;
};

}  // namespace

std::unique_ptr<Contender> socket_floor(const Work& work, std::span<const Fd> peers, uint32_t rank,
                                        bool yields) {
  return std::make_unique<SocketFloor>(work, peers, rank, yields);
}

}  // namespace weft::bench::ep
