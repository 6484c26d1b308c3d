// The floor over tcp: the same bytes between all pairs of ranks by plain sockets, grouped and summed from
// where they were received, with no library.
#pragma once

#include <memory>
#include <span>

#include "bench/ep/contender.h"
#include "memory/fd.h"

namespace weft::bench::ep {

// peers: a socket to each other rank, ascending.
std::unique_ptr<Contender> socket_floor(const Work& work, std::span<const Fd> peers, uint32_t rank,
                                        bool yields);

}  // namespace weft::bench::ep
