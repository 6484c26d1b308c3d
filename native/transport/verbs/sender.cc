#include "transport/verbs/sender.h"

#if WEFT_HAVE_VERBS

#include <algorithm>
#include <cstring>

#include "transport/verbs/chain.h"

namespace weft::verbs {

namespace {
// A round with fewer bytes is not worth an immediate on every rail.
constexpr size_t kShardBytes = 256 * 1024;
}  // namespace

Sender::Sender(uint32_t epoch, std::span<const Inbound> inbound, std::vector<Lane> lanes, const Card& peer,
               std::byte* records)
    : outbox_(epoch, inbound),
      lanes_(std::move(lanes)),
      peer_(peer),
      records_(records),
      posted_(lanes_.size()),
      done_(lanes_.size()),
      ends_(kMaxSlots * lanes_.size()),
      notes_(records) {
  for (size_t i = 0; i < peer_.windows; ++i) notes_ += peer_.window[i].records;
}

const WindowCard* Sender::find_window() const {
  const wire::Frame& frame = outbox_.frame();
  const auto& layout = *outbox_.rows().layout;
  const size_t records = Records(layout).bytes();
  for (size_t i = 0; i < peer_.windows; ++i) {
    const WindowCard& window = peer_.window[i];
    if (window.publication != frame.publication || window.destination != frame.destination) continue;
    const size_t bodies = layout.bytes() - layout.bodies();
    return window.records == records && window.bytes == bodies + window.records ? &window : nullptr;
  }
  return nullptr;
}

void Sender::start() {
  outbox_.seal();
  const wire::Frame& frame = outbox_.frame();
  shares_ = lanes_.size();
  std::fill(posted_.begin(), posted_.end(), 0);
  std::fill(done_.begin(), done_.end(), false);
  if (of_lease(frame) && frame.kind != wire::FrameKind::revoked) {
    // One rail, any for a write. The answer to a revocation is behind what was written on every rail.
    std::fill(done_.begin(), done_.end(), true);
    done_[frame.kind == wire::FrameKind::write ? next_lane_++ % lanes_.size() : 0] = false;
  }
  if (frame.kind != wire::FrameKind::rows) return;
  const auto& layout = *outbox_.rows().layout;
  // The same for all frames of a round, so that the receiver can count.
  if (size_t{frame.taken} * layout.row_bytes() < kShardBytes) shares_ = 1;
  window_ = find_window();
  failed_ = failed_ || window_ == nullptr;
  if (failed_) return;
  const auto number = static_cast<uint32_t>(window_ - peer_.window);
  slot_ = number * layout.shape().depth + layout.slot_of(frame.generation);
}

// Rows are divided evenly; what opens the round goes over the first lane.
wire::Frame Sender::share_of(size_t lane) const {
  wire::Frame share = outbox_.frame();
  const uint32_t count = share.count;
  const auto begin = static_cast<uint32_t>(uint64_t{count} * lane / shares_);
  share.first += begin;
  share.count = static_cast<uint32_t>(uint64_t{count} * (lane + 1) / shares_) - begin;
  if (lane > 0) share.flags &= static_cast<uint16_t>(~wire::kBegin);
  return share;
}

// The frame and what comes with it, put together in memory of ours.
std::span<const std::byte> Sender::put_together(const Records& records, size_t at) {
  const wire::Frame& frame = outbox_.frame();
  for (const WindowCard* before = peer_.window; before < window_; ++before) at += before->records;
  std::byte* to = records_ + at;
  std::memcpy(to, &frame, sizeof frame);
  const size_t ridden = records.body_bytes(frame);
  size_t left_out = frame.body_bytes - ridden, bytes = sizeof frame;
  if (ridden > 0)
    for_each_piece(frame, outbox_.rows(), [&](const std::byte* data, size_t piece, size_t) {
      const size_t skipped = std::min(left_out, piece);
      left_out -= skipped;
      std::memcpy(to + bytes, data + skipped, piece - skipped);
      bytes += piece - skipped;
      return true;
    });
  return {to, bytes};
}

// Lanes keep no order among each other: the receiver counts what each has told of a slot's round, and starts
// anew with the next. So before that is begun, all lanes' immediates of the round before are where they
// should be.
bool Sender::may_begin() {
  const wire::Frame& frame = outbox_.frame();
  if (lanes_.size() == 1 || (frame.flags & wire::kBegin) == 0) return true;
  for (size_t lane = 0; lane < lanes_.size(); ++lane)
    if (!lanes_[lane].pair->retired(end_of(lane))) return false;
  return true;
}

// Posts what there is room for of a lane's share; true: all of it.
bool Sender::send_share(size_t number) {
  Lane& lane = lanes_[number];
  const wire::Frame& frame = outbox_.frame();
  const Outgoing& rows = outbox_.rows();
  const auto& layout = *rows.layout;
  const Records records(layout);
  const wire::Frame share = share_of(number);
  const bool has_record = number == 0 && records.has_one(frame);
  // What goes to its place itself; what rides in the record need not, whatever rail it would have gone over.
  const size_t ridden = records.has_one(frame) ? records.body_bytes(frame) : 0;
  const size_t direct = ridden == frame.body_bytes ? 0 : wire::body_bytes_of(share, layout) - ridden;

  while (!failed_) {
    if (lane.pair->room() == 0) return false;
    Chain chain(*lane.pair, window_->address, window_->keys[number]);
    size_t skip = posted_[number], left = direct - skip;
    for_each_piece(share, rows, [&](const std::byte* data, size_t bytes, size_t at) {
      const size_t skipped = std::min(skip, bytes);
      skip -= skipped;
      data += skipped, at += skipped, bytes = std::min(bytes - skipped, left);
      while (bytes > 0) {
        const size_t taken = chain.add(data, bytes, at - layout.bodies(), lane.arena_key);
        if (taken == 0) return false;
        data += taken, at += taken, bytes -= taken, left -= taken;
      }
      return left > 0;
    });
    posted_[number] = direct - left;
    bool complete = left == 0;
    if (complete && has_record && (complete = chain.has_room())) {
      const size_t at = records.at(layout.slot_of(frame.generation), frame.final_rows);
      const auto record = put_together(records, at);
      chain.open(window_->bytes - window_->records + at);
      chain.add(record.data(), record.size(), window_->bytes - window_->records + at, lane.records_key);
    } else if (complete && chain.empty()) {
      chain.open(0);
    }
    if (complete)
      chain.tell(encode({shares_ > 1 ? Tells::share_of_rows : Tells::rows, slot_, frame.final_rows}));
    const auto requests = chain.finish();
    if (requests.empty()) return false;
    const bool last = complete && lanes_.size() > 1 && frame.final_rows == frame.rows;
    failed_ = !lane.pair->post(requests, last);
    if (last) end_of(number) = lane.pair->posted();
    counts_.requests.add(requests.size());
    counts_.bytes.add(chain.bytes());
    if (!complete) continue;
    counts_.messages.add(1);
    return !failed_;
  }
  return false;
}

bool Sender::send_goodbye(size_t number) {
  QueuePair& pair = *lanes_[number].pair;
  if (pair.room() == 0) return false;
  Chain chain(pair, peer_.notes.address, peer_.notes.keys[number]);
  chain.open(0);
  chain.tell(encode({Tells::goodbye, 0, 0}));
  failed_ = !pair.post(chain.finish(), true);
  return !failed_;
}

bool Sender::has_room(size_t number) const {
  const Lane& lane = lanes_[number];
  const bool of_a_lease = of_lease(outbox_.frame());
  return of_a_lease ? has_room_for_lease_frame(lane) : lane.pair->room() > 0;
}

// What belongs to a lease is sealed when it can leave at once: rows go past what can't.
bool Sender::may_seal() const {
  return !outbox_.next_is_of_lease() || std::all_of(lanes_.begin(), lanes_.end(), [&](const Lane& lane) {
    return has_room_for_lease_frame(lane);
  });
}

bool Sender::flush() {
  for (;;) {
    const bool told = send_taken();
    note_written();
    while (!outbox_.empty() && !failed_) {
      if (!outbox_.sealed() && !may_seal()) break;
      if (!outbox_.sealed()) start();
      if (failed_ || !may_begin()) break;
      bool all = true;
      const wire::FrameKind kind = outbox_.frame().kind;
      for (size_t lane = 0; lane < shares_; ++lane) {
        if (!done_[lane])
          done_[lane] = kind == wire::FrameKind::rows      ? send_share(lane)
                        : kind == wire::FrameKind::goodbye ? send_goodbye(lane)
                                                           : send_lease_frame(lane);
        all = all && done_[lane];
      }
      if (!all) break;
      outbox_.sent();
      if (kind == wire::FrameKind::write) writes_.back().written = outbox_.written();
    }
    if (failed_) outbox_.clear();
    note_written();
    // SYNC POINT room: we store `pending`, then load what was retired; who retires stores that, then loads
    // `pending` and flushes. Both orders are seq_cst.
    const bool left = !outbox_.empty() || !told;
    pending_.store(left);
    if (!left || failed_) return !failed_;
    const bool may = outbox_.sealed() && may_begin();
    bool room = !outbox_.empty() && !outbox_.sealed() && may_seal();
    for (size_t lane = 0; lane < lanes_.size(); ++lane) {
      room |= may && lane < shares_ && !done_[lane] && has_room(lane);
      room |= owes(lanes_[lane]) && lanes_[lane].pair->room() > 0;
    }
    if (!room) return true;
  }
}

bool Sender::idle() const {
  const bool sent = std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& l) { return l.pair->idle(); });
  return outbox_.empty() && sent;
}

}  // namespace weft::verbs

#endif
