// Codes, phases and errors. Hot paths return a Code; set-up returns Expected<T>.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace weft {

// The order is part of the binding's contract: src/native.ts maps these numbers to WEFT_* codes.
enum class Code : uint8_t {
  ok = 0,
  again,  // not yet: try later, nothing is wrong
  deadline,
  aborted,
  closed,  // our own side is closed
  peer_lost,
  peer_closed,
  config_mismatch,
  auth,
  protocol,
  invalid_argument,
  too_many_rows,
  slot_busy,
  state,  // the call does not fit the state of the round
  unavailable,
  system,
};

enum class Phase : uint8_t { none = 0, connect, claim, dispatch, collect, reply, combine, close };

constexpr int32_t kNoPeer = -1;

struct Error {
  Code code = Code::ok;
  Phase phase = Phase::none;
  int32_t peer = kNoPeer;  // member id of the peer that is to blame
  int system_error = 0;    // errno, when code is `system` or a system call was the cause
  std::string what;
};

template <class T>
using Expected = std::expected<T, Error>;

inline std::unexpected<Error> fail(Code code, std::string what, int system_error = 0) {
  return std::unexpected(Error{code, Phase::none, kNoPeer, system_error, std::move(what)});
}

}  // namespace weft
