#include "transport/verbs/adapter.h"

#if WEFT_HAVE_VERBS

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

namespace weft::verbs {

namespace {
constexpr uint32_t kQueueDepth = 256;
constexpr uint32_t kLeastQueueDepth = 16;
constexpr uint32_t kReceives = 1024;
constexpr uint32_t kPieces = 30;

std::string named(const Rail& rail, const char* what) {
  return rail.device + " port " + std::to_string(rail.port) + ": " + what;
}
}  // namespace

Expected<std::unique_ptr<Adapter>> Adapter::open(const Library& library, const Rail& rail,
                                                 size_t queue_pairs) {
  std::unique_ptr<Adapter> adapter(new Adapter(library, rail));
  if (auto done = adapter->set_up(queue_pairs); !done) return std::unexpected(done.error());
  return adapter;
}

Expected<void> Adapter::set_up(size_t queue_pairs) {
  const Library& verbs = *library_;
  const auto failed = [&](const char* what) { return fail(Code::unavailable, named(rail_, what), errno); };
  int count = 0;
  ibv_device** devices = verbs.ibv_get_device_list(&count);
  for (int i = 0; i < count; ++i)
    if (rail_.device == verbs.ibv_get_device_name(devices[i]))
      context_ = {verbs.ibv_open_device(devices[i]), {library_}};
  if (devices != nullptr) verbs.ibv_free_device_list(devices);
  if (!context_) return failed("cannot be opened");

  ibv_device_attr limits{};
  if (verbs.ibv_query_device(context_.get(), &limits) != 0 ||
      query_port(verbs, context_.get(), rail_.port, port_) != 0)
    return failed("does not answer");
  if (limits.max_srq == 0) return failed("has no shared receive queues, which this transport needs");
  max_pieces_ = std::min(kPieces, static_cast<uint32_t>(limits.max_sge));
  most_receives_ = std::min(kReceives, static_cast<uint32_t>(limits.max_srq_wr));
  // Room for everything that can complete, or a full completion queue would end all links at once.
  const auto room = static_cast<uint32_t>(limits.max_cqe) - most_receives_;
  const auto share = static_cast<uint32_t>(room / std::max<size_t>(1, queue_pairs));
  queue_depth_ = std::min({kQueueDepth, static_cast<uint32_t>(limits.max_qp_wr), share});
  if (queue_depth_ < kLeastQueueDepth) return failed("has too short completion queues for so many peers");
  const auto completions = static_cast<int>(most_receives_ + queue_depth_ * queue_pairs);

  domain_ = {verbs.ibv_alloc_pd(context_.get()), {library_}};
  if (!domain_) return failed("no protection domain to be had");
  channel_ = {verbs.ibv_create_comp_channel(context_.get()), {library_}};
  if (!channel_) return failed("no completion channel to be had");
  fcntl(channel_->fd, F_SETFL, fcntl(channel_->fd, F_GETFL) | O_NONBLOCK);
  completions_ = {verbs.ibv_create_cq(context_.get(), completions, nullptr, channel_.get(), 0), {library_}};
  if (!completions_) return failed("no completion queue to be had");
  ibv_srq_init_attr shared{};
  shared.attr.max_wr = most_receives_;
  shared.attr.max_sge = 1;
  receives_ = {verbs.ibv_create_srq(domain_.get(), &shared), {library_}};
  if (!receives_) return failed("no shared receive queue to be had");
  used_receives_ = most_receives_;
  refill();
  return {};
}

Adapter::~Adapter() {
  if (unacknowledged_ > 0) library_->ibv_ack_cq_events(completions_.get(), unacknowledged_);
}

Expected<Region> Adapter::expose(std::byte* data, size_t bytes, bool to_writes) const {
  // A page that a child process shared would be copied when this one writes to it, and the device go on with
  // the old one.
  madvise(data, bytes, MADV_DONTFORK);
  const int access = to_writes ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;
  Region region(library_->ibv_reg_mr(domain_.get(), data, bytes, access), {library_});
  if (region) return region;
  const std::string advice =
      errno == ENOMEM ? "; is the limit of locked memory (ulimit -l) high enough?" : "";
  return fail(Code::unavailable,
              named(rail_, "cannot register ") + std::to_string(bytes) + " bytes of memory" + advice, errno);
}

Expected<Region> Adapter::expose_dma_buf(int fd, uint64_t offset, size_t bytes, uint64_t address,
                                         bool to_writes) const {
  const int access = to_writes ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;
  if (library_->ibv_reg_dmabuf_mr == nullptr)
    return fail(Code::unavailable, "this libibverbs knows no dma-buf: rdma-core 34 or newer does");
  Region region(library_->ibv_reg_dmabuf_mr(domain_.get(), offset, bytes, address, fd, access), {library_});
  if (region) return region;
  const bool unknown = errno == EOPNOTSUPP || errno == EPROTONOSUPPORT;
  return fail(Code::unavailable, named(rail_, unknown ? "has no dma-buf" : "cannot register that dma-buf"),
              errno);
}

std::span<const ibv_wc> Adapter::poll() {
  const int count = ibv_poll_cq(completions_.get(), std::size(polled_), polled_);
  const std::span<const ibv_wc> all(polled_, static_cast<size_t>(std::max(0, count)));
  for (const ibv_wc& done : all) used_receives_ += done.wr_id == kReceive ? 1 : 0;
  if (used_receives_ >= (all.empty() ? 1 : most_receives_ / 4)) refill();
  return all;
}

void Adapter::refill() {
  // An immediate brings no bytes to a receive request, so it has no memory.
  ibv_recv_wr requests[64];
  while (used_receives_ > 0) {
    const uint32_t count = std::min<uint32_t>(used_receives_, std::size(requests));
    for (uint32_t i = 0; i < count; ++i)
      requests[i] = {kReceive, i + 1 < count ? &requests[i + 1] : nullptr, nullptr, 0};
    ibv_recv_wr* bad = nullptr;
    ibv_post_srq_recv(receives_.get(), requests, &bad);
    used_receives_ -= count;
  }
}

void Adapter::arm() {
  ibv_cq* of = nullptr;
  void* context = nullptr;
  while (library_->ibv_get_cq_event(channel_.get(), &of, &context) == 0) ++unacknowledged_;
  constexpr uint32_t kMany = 1000;  // to acknowledge takes a lock
  if (unacknowledged_ >= kMany) {
    library_->ibv_ack_cq_events(completions_.get(), unacknowledged_);
    unacknowledged_ = 0;
  }
  // Not for solicited ones only: some devices then don't wake us for errors, and of requests that succeed
  // only one in many completes anyway.
  ibv_req_notify_cq(completions_.get(), 0);
}

}  // namespace weft::verbs

#endif
