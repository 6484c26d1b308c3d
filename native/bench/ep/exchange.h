// This library as a contender.
#pragma once

#include <memory>

#include "bench/ep/contender.h"
#include "exchange/attention.h"
#include "exchange/expert.h"

namespace weft::bench::ep {

// `expands`: copies what it is sent expert by expert, as the floor does; otherwise rows are read where they
// are.
std::unique_ptr<Contender> exchange(const Work& work, AttentionSide& attention, ExpertSide& expert,
                                    bool expands);

}  // namespace weft::bench::ep
