// How the ends of a verbs link talk about leases: frames that the sender's device writes into a ring at the
// receiver, one for each rail, behind the bytes that they tell of. An immediate says that one has come.
// docs/protocol.md "Verbs".
#pragma once

#include <array>
#include <cstring>

#include "transport/verbs/device.h"
#include "transport/verbs/records.h"

namespace weft::verbs {

constexpr uint32_t kNotes = 64;  // in a ring
constexpr size_t notes_bytes(size_t rails) { return rails * kNotes * sizeof(wire::Frame); }
constexpr size_t note_at(size_t rail, uint32_t number) {
  return (rail * kNotes + number % kNotes) * sizeof(wire::Frame);
}
// Of an immediate that tells of notes: a note, whose number is in `final_rows`, or how many have been taken.
constexpr uint32_t kANote = 0, kNotesTaken = 1;
// Numbers of notes, and counts of them, wrap around within an immediate.
constexpr uint32_t kNoteNumbers = wire::kMaxRows + 1;

// Our rings.
class NoteRings {
 public:
  explicit NoteRings(const std::byte* rings) : rings_(rings) {}

  // The note is the peer's, who may write there at any time: what is checked is a copy.
  Code take(size_t rail, uint32_t number, wire::Frame& note) {
    if (number != taken_[rail] % kNoteNumbers) return Code::protocol;
    std::memcpy(&note, rings_ + note_at(rail, taken_[rail]), sizeof note);
    ++taken_[rail];
    return Code::ok;
  }
  uint32_t taken(size_t rail) const { return taken_[rail]; }

 private:
  const std::byte* rings_;
  std::array<uint32_t, kMaxRails> taken_{};
};

}  // namespace weft::verbs
