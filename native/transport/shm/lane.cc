#include "transport/shm/lane.h"

#include <cstring>

namespace weft {

namespace {
// What is copied at a time: whoever waits for rows takes turns with it.
constexpr size_t kTurnBytes = 256 * 1024;
}  // namespace

bool LaneSender::flush() {
  const uint64_t taken = theirs_.taken.load(std::memory_order_acquire);
  const uint64_t before = put_;
  while (!outbox_.empty() && put_ - taken < kMostUnderWay) {
    outbox_.seal(kTurnBytes);
    wire::LeaseFrame frame = as_lease_frame(outbox_.frame());
    outbox_.for_each_piece([&](const std::byte* data, size_t) {
      frame.source = static_cast<uint64_t>(data - arena_.data());
      return true;
    });
    wire::Frame& place = ours_.frames[put_ % Lane::kFrames];
    place = as_frame(frame);
    seal(place);
    if (brings_data(place)) {
      counts_.messages.add(1);
      last_write_ = put_ + 1;
    }
    counts_.requests.add(1);
    counts_.bytes.add(frame.body_bytes);
    outbox_.sent();
    written_at_[put_++ % Lane::kFrames] = outbox_.written();
  }
  // Some may have been dropped.
  written_at_[(put_ - 1) % Lane::kFrames] = outbox_.written();
  pending_.store(!outbox_.empty(), std::memory_order_relaxed);
  if (put_ == before) return false;
  ours_.put.store(put_, std::memory_order_release);  // SYNC POINT lane
  return true;
}

void LaneSender::withdraw() {
  ours_.withdrawn.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // SYNC POINT withdraw
}

uint64_t LaneSender::written() const {
  const uint64_t taken = theirs_.taken.load(std::memory_order_acquire);
  if (put_ - taken > kMostUnderWay) return 0;  // the peer talks nonsense
  return written_at_[(taken - 1) % Lane::kFrames];
}

Code LaneReceiver::apply(const wire::Frame& frame) {
  if (!of_lease(frame) || validate(frame, {epoch_, 0, 0, nullptr}) != Code::ok) return Code::protocol;
  const wire::LeaseFrame write = as_lease_frame(frame);
  if (write.kind == wire::FrameKind::revoke) {
    revokes_.push_back(write);
    return Code::ok;
  }
  std::byte* to = nullptr;
  if (write.kind != wire::FrameKind::write || leases_.accept(write, to) != Code::ok ||
      write.source > their_arena_.size() || write.body_bytes > their_arena_.size() - write.source)
    return Code::protocol;
  if (to != nullptr) std::memcpy(to, their_arena_.data() + write.source, write.body_bytes);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // SYNC POINT withdraw
  withdrawn_ = lane_.withdrawn.load(std::memory_order_relaxed) != 0;
  if (withdrawn_) return Code::peer_lost;
  leases_.count(write);
  arrivals_.add(1);
  return Code::ok;
}

Expected<bool> LaneReceiver::take() {
  if (withdrawn_) return fail(Code::peer_lost, {});
  const uint64_t put = lane_.put.load(std::memory_order_acquire);  // SYNC POINT lane
  if (put == taken_) return false;
  if (put - taken_ > Lane::kFrames) return fail(Code::protocol, {});
  size_t bytes = 0;
  while (taken_ < put && bytes < kTurnBytes) {
    const wire::Frame frame = lane_.frames[taken_ % Lane::kFrames];  // what is checked is what is used
    if (const Code applied = apply(frame); applied != Code::ok) return fail(applied, {});
    bytes += frame.body_bytes;
    ++taken_;
  }
  ours_.taken.store(taken_, std::memory_order_release);  // SYNC POINT lane
  return true;
}

}  // namespace weft
