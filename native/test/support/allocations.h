// Counts what the whole process allocates, by operator new and (in plain builds) by malloc.
#pragma once

#include <cstdint>

namespace weft::test {

uint64_t allocations();

}  // namespace weft::test
