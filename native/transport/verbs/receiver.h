// The receiving half of a verbs link: counts immediates, and makes rows visible when all that they tell of
// has come.
#pragma once

#include <array>

#include "transport/mirrors.h"
#include "transport/verbs/card.h"
#include "transport/verbs/records.h"

namespace weft::verbs {

enum class Arrived { part, rows, goodbye, nonsense };

// Gives each publication a place, and behind it its records; says how much memory they take.
size_t place_windows(std::vector<Inbound>& inbound);

class Receiver {
 public:
  Receiver(uint32_t epoch, std::vector<Inbound> inbound, std::shared_ptr<Mapping> memory, size_t rails);

  // An immediate has come over a rail.
  Arrived arrived(size_t rail, uint32_t immediate);
  Mirrors& mirrors() { return mirrors_; }
  const Mirrors& mirrors() const { return mirrors_; }
  // What the peer may write into: bodies and records of the i-th mirror.
  std::span<std::byte> window(size_t i) const;

 private:
  struct Round {
    bool begun = false;
    std::array<int32_t, kMaxRails> told;  // the watermark of each rail; -1: nothing yet
    Round() { told.fill(-1); }
  };

  Arrived rows(size_t rail, const Immediate& immediate);
  Code begin(size_t inbound, uint32_t slot, uint32_t final_rows, bool shared, bool& begun);
  Code go_on(size_t inbound, uint32_t slot, uint32_t final_rows);
  Code take_record(size_t inbound, uint32_t slot, uint32_t final_rows, wire::Frame& frame);
  Code apply_record(const wire::Frame& frame, size_t inbound, uint32_t slot);
  const std::byte* record(size_t inbound, uint32_t slot, uint32_t final_rows) const;

  Mirrors mirrors_;
  size_t rails_;
  std::vector<std::vector<Round>> rounds_;  // [inbound][slot]
  Body body_;
  uint32_t goodbyes_ = 0;  // a bit for each rail
};

}  // namespace weft::verbs
