// What the two ends of a link tell each other after the handshake, such as where their memory lies.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "transport/transport.h"

namespace weft {

// Sends ours and receives the other end's, which has at most `most` bytes.
Expected<std::vector<std::byte>> trade(const Session& session, std::span<const std::byte> ours, size_t most);

}  // namespace weft
