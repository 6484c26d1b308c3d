// The floor in memory: the same grouping and the same weighted sum straight from the publisher's memory, in
// one shared mapping, with flags on lines of their own and no library.
#pragma once

#include <memory>

#include "bench/ep/contender.h"

namespace weft::bench::ep {

// Of the shared mapping, behind the barrier.
// `streams`: copies past the caches, which is faster than memcpy for more than they hold.
size_t floor_bytes(const Work& work);
std::unique_ptr<Contender> memory_floor(const Work& work, std::byte* memory, uint32_t rank, bool yields,
                                        bool streams);

}  // namespace weft::bench::ep
