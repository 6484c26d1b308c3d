// What a ucx link sends: active messages, numbered. A frame is one message or several: the first has the
// frame, and as much of its body as comes in one piece; the others have the rest of the body, in order.
// docs/protocol.md "UCX".
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "wire/frame.h"

namespace weft {

// The header of an active message; its payload is a piece of a frame's body.
struct UcxMessage {
  uint64_t link;      // the receiver's, as it told the sender
  uint64_t sequence;  // from 0: UCX may deliver a later message before an earlier one
  wire::Frame frame;  // of the first message of a frame only
};
static_assert(sizeof(UcxMessage) == 80 && std::is_trivially_copyable_v<UcxMessage>);

// The header of a message that goes on with a frame ends here.
constexpr size_t kUcxGoesOn = offsetof(UcxMessage, frame);
// UCX's number for this kind of message.
constexpr unsigned kUcxMessageId = 0;
// And for what is sent once, for nothing but UCX to get ready: nobody looks at it.
constexpr unsigned kUcxPrimerId = 1;

}  // namespace weft
