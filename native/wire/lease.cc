#include "wire/lease.h"

#include "wire/crc32c.h"

namespace weft::wire {

void seal(Ticket& ticket) { ticket.crc = crc32c(&ticket, offsetof(Ticket, crc)); }

Code validate(const Ticket& ticket, uint32_t epoch, uint32_t from, uint32_t to) {
  const bool whole = ticket.magic == kTicketMagic && ticket.version == kTicketVersion &&
                     ticket.crc == crc32c(&ticket, offsetof(Ticket, crc));
  const bool sound = ticket.generation > 0 && ticket.bytes > 0 && ticket.counters > 0 &&
                     ticket.counters <= kMaxCounters && ticket.address + ticket.bytes >= ticket.address;
  const bool ours = ticket.epoch == epoch && ticket.from == from && ticket.to == to;
  return whole && sound && ours ? Code::ok : Code::protocol;
}

}  // namespace weft::wire
