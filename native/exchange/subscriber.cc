#include "exchange/subscriber.h"

#include <algorithm>
#include <cstring>

#include "wire/frame.h"

namespace weft {

Code Subscriber::look(uint64_t generation, RoundView& view, bool reply) const {
  const Code code = read_head(generation, view, reply);
  if (code == Code::protocol) endpoint_->condemn(peer_);
  return code;
}

Code Subscriber::read_head(uint64_t generation, RoundView& view, bool reply) const {
  const uint32_t slot = layout_.slot_of(generation);
  const wire::SlotHead& head = layout_.head_of(base(), slot);
  // SYNC POINT publish, the reader's half.
  const uint64_t state = head.state.load(std::memory_order_acquire);
  if (state < wire::state_word(generation, 0)) return Code::again;
  if (wire::generation_of(state) != generation) return Code::protocol;  // overwrote what we have not released
  const auto& shape = layout_.shape();
  view.generation = generation;
  // Loaded once: what is checked must be what is used, even if the peer writes on.
  view.rows = __atomic_load_n(&head.rows, __ATOMIC_RELAXED);
  view.final_rows = wire::final_rows_of(state);
  view.tag = __atomic_load_n(&head.tag, __ATOMIC_RELAXED);
  view.meta_bytes = __atomic_load_n(&head.meta_bytes, __ATOMIC_RELAXED);
  view.routed = (__atomic_load_n(&head.flags, __ATOMIC_RELAXED) & wire::kRouted) != 0;
  if (view.rows > shape.max_rows || view.final_rows > view.rows || view.meta_bytes > shape.meta_capacity ||
      (view.routed && !shape.lists))
    return Code::protocol;
  view.taken = view.routed
                   ? __atomic_load_n(&layout_.list_of(base(), slot, destination_).count, __ATOMIC_RELAXED)
                   : view.rows;
  if (reply && view.routed && view.taken == wire::kVoidList) return Code::peer_lost;
  return view.taken > view.rows ? Code::protocol : Code::ok;
}

bool Subscriber::withheld(uint64_t generation) const {
  const wire::RowList& list = layout_.list_of(base(), layout_.slot_of(generation), destination_);
  return __atomic_load_n(&list.count, __ATOMIC_ACQUIRE) == wire::kVoidList;
}

uint32_t Subscriber::final_rows(uint64_t generation) const {
  const wire::SlotHead& head = layout_.head_of(base(), layout_.slot_of(generation));
  const uint64_t state = head.state.load(std::memory_order_acquire);
  return wire::generation_of(state) == generation ? wire::final_rows_of(state) : 0;
}

Code Subscriber::copy_list(const RoundView& view, uint32_t* rows) const {
  const wire::RowList& list = layout_.list_of(base(), layout_.slot_of(view.generation), destination_);
  std::memcpy(rows, list.rows, size_t{view.taken} * sizeof(uint32_t));
  const Code code = wire::validate_list(rows, view.taken, view.rows);
  if (code != Code::ok) endpoint_->condemn(peer_);
  return code;
}

}  // namespace weft
