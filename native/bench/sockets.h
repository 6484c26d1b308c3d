// The socket floor: the same bytes and the same work over plain TCP sockets, with no library. Spinning on
// non-blocking receives when there is a core for each process, blocking when not.
#pragma once

#include <span>
#include <string>

#include "bench/workload.h"
#include "core/status.h"
#include "memory/fd.h"

namespace weft::bench {

// One listening socket on loopback, and its port.
Expected<std::pair<Fd, uint16_t>> socket_listen();
Expected<std::vector<Fd>> socket_connect(std::span<const uint16_t> ports);  // attention: one to each ffn rank
Expected<std::vector<Fd>> socket_accept(const Fd& listener,
                                        uint32_t count);  // ffn: one from each attention rank

uint64_t socket_attention(const Workload& work, std::span<const Fd> ffn, uint32_t rank, uint64_t base,
                          std::span<double> samples, bool spin);
void socket_ffn(const Workload& work, std::span<const Fd> attention, uint64_t rounds, bool spin);

}  // namespace weft::bench
