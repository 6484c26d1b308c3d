// One reliable connection on one rail: connecting it, posting chains of writes, and its reset, the fence
// after which nothing is on its way any more.
#pragma once

#include <atomic>

#include "transport/verbs/adapter.h"
#include "transport/verbs/card.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

class QueuePair {
 public:
  static Expected<std::unique_ptr<QueuePair>> create(Adapter& adapter);

  uint32_t number() const { return pair_->qp_num; }
  Adapter& adapter() const { return *adapter_; }
  RailCard card() const;
  // The end of the other side; afterwards we may send, and what it sends is taken.
  Expected<void> connect(const RailCard& theirs);

  // Requests that may be posted now. A chain may be as long as that.
  uint32_t room() const { return adapter_->queue_depth() - (posted_ - retired_.load()); }
  uint32_t inline_bytes() const { return inline_bytes_; }
  // Posts the requests, linked and in order, and asks for a completion where one is due. False: the pair has
  // failed.
  bool post(std::span<ibv_send_wr> chain, bool complete_last);
  // A completion that was asked for has come: this and all before it is done. From any thread.
  void retire(uint64_t upto) { retired_.store(static_cast<uint32_t>(upto)); }
  // Requests posted so far, and whether the peer has all up to one of these counts.
  uint32_t posted() const { return posted_; }
  bool retired(uint32_t upto) const { return static_cast<int32_t>(retired_.load() - upto) >= 0; }
  bool idle() const { return posted_ == retired_.load(); }
  // Nothing is sent, and nothing that comes is written, once it returns.
  void reset();

 private:
  QueuePair() = default;
  Expected<void> modify(ibv_qp_attr& attributes, int mask, const char* to) const;

  Adapter* adapter_ = nullptr;
  Handle<ibv_qp, &Library::ibv_destroy_qp> pair_;
  uint32_t first_packet_ = 0;
  uint32_t inline_bytes_ = 0;
  // Counts of requests, which wrap around.
  uint32_t posted_ = 0, asked_ = 0;
  std::atomic<uint32_t> retired_{0};
};

// "IBV_WC_RETRY_EXC_ERR: ...", for ever.
const char* name_of(ibv_wc_status status);

}  // namespace weft::verbs

#endif
