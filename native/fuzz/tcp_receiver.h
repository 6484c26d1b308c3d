#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "transport/tcp/receiver.h"
#include "wire/publication.h"

namespace weft::fuzz {

constexpr uint32_t kEpoch = 0xFEDCBA98;
constexpr unsigned kShapes = 4;
// The streams that the receiver expects, as (publication, destination). Each has a mirror of the input's
// shape.
constexpr std::pair<uint16_t, uint16_t> kStreams[] = {{5, 0}, {7, 0}};

// Of two leases, numbers 0 and 1, both of generation 1; the second is over.
constexpr size_t kLeaseBytes = 3000;
constexpr uint16_t kLeaseCounters = 3;

const wire::PublicationShape& shape(unsigned which);

// How it ended. Aborts the process when a rule was broken.
Received feed_tcp_receiver(const uint8_t* data, size_t size);

}  // namespace weft::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
