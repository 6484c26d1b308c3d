// What an end of a ucx link tells the other of itself. docs/protocol.md "UCX".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"

namespace weft {

constexpr size_t kMostUcxCardBytes = 64 * 1024;

struct UcxCard {
  uint64_t link = 0;               // the number by which it wants its messages
  uint64_t network_namespace = 0;  // 0: not known
  std::span<const std::byte> address;
};

std::vector<std::byte> encode(const UcxCard& card);
// The gate: UCX ends the process when it is given an address that is none. The address lies in `bytes`.
Code decode(std::span<const std::byte> bytes, UcxCard& card);

}  // namespace weft
