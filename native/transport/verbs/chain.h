// Requests of a queue pair.
#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "transport/verbs/queue_pair.h"

#if WEFT_HAVE_VERBS

namespace weft::verbs {

// Requests put together to be posted at once. Pieces that belong behind each other become one request.
class Chain {
 public:
  static constexpr size_t kMostBytes = 4 << 20;  // of a request

  Chain(const QueuePair& pair, uint64_t address, uint32_t remote_key)
      : most_(std::min<size_t>({kChain, pair.room()})),
        most_pieces_(std::min<size_t>(kGather, pair.adapter().max_pieces())),
        most_bytes_(std::min<size_t>(kMostBytes, pair.adapter().port().max_msg_sz)),
        inline_bytes_(pair.inline_bytes()),
        address_(address),
        key_(remote_key) {}

  // Bytes of `data`, as far as there is room: how many. `at`: from the window's start.
  size_t add(const std::byte* data, size_t bytes, size_t at, uint32_t key) {
    ibv_send_wr* request = count_ > 0 ? &requests_[count_ - 1] : nullptr;
    const bool goes_on = request != nullptr && at == next_ && request_bytes_ < most_bytes_ &&
                         static_cast<size_t>(request->num_sge) < most_pieces_;
    if (!goes_on) {
      if (count_ == most_) return 0;
      request = open(at);
    }
    const size_t taken = std::min(bytes, most_bytes_ - request_bytes_);
    request->sg_list[request->num_sge++] = {reinterpret_cast<uint64_t>(data), static_cast<uint32_t>(taken),
                                            key};
    request_bytes_ += taken;
    bytes_ += taken;
    next_ = at + taken;
    return taken;
  }
  // From here on to other memory of the peer.
  void aim(uint64_t address, uint32_t remote_key) {
    address_ = address;
    key_ = remote_key;
  }
  bool has_room() const { return count_ < most_; }
  bool empty() const { return count_ == 0; }
  ibv_send_wr* open(size_t at) {
    close();
    ibv_send_wr& request = requests_[count_];
    request = {};
    request.opcode = IBV_WR_RDMA_WRITE;
    request.sg_list = pieces_[count_];
    request.wr.rdma.remote_addr = address_ + at;
    request.wr.rdma.rkey = key_;
    ++count_;
    request_bytes_ = 0;
    next_ = at;
    return &request;
  }
  // The last request tells the receiver.
  void tell(uint32_t immediate) {
    ibv_send_wr& request = requests_[count_ - 1];
    request.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
    request.imm_data = htonl(immediate);
  }
  std::span<ibv_send_wr> finish() {
    close();
    return {requests_, count_};
  }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kChain = 16;  // requests that are posted at once
  static constexpr size_t kGather = 30;

  void close() {
    if (count_ > 0 && request_bytes_ > 0 && request_bytes_ <= inline_bytes_)
      requests_[count_ - 1].send_flags |= IBV_SEND_INLINE;
  }

  const size_t most_, most_pieces_, most_bytes_;
  const uint32_t inline_bytes_;
  uint64_t address_;
  uint32_t key_;
  size_t count_ = 0, request_bytes_ = 0, next_ = 0, bytes_ = 0;
  ibv_send_wr requests_[kChain];
  ibv_sge pieces_[kChain][kGather];
};

}  // namespace weft::verbs

#endif
