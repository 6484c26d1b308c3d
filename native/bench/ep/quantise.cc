#include "bench/ep/quantise.h"

#include <cstring>

#include "core/clock.h"
#include "kernels/quantise.h"
#include "memory/mapping.h"

namespace weft::bench::ep {

void quantise_turns(uint32_t rows, uint32_t hidden, std::span<double> copy_ns,
                    std::span<double> quantise_ns) {
  const size_t elements = size_t{rows} * hidden, scales = rows * ((hidden + 127) / 128) * sizeof(float);
  const auto source = *Mapping::anonymous(elements * 2), copy = *Mapping::anonymous(elements * 2);
  const auto codes = *Mapping::anonymous(elements), scale = *Mapping::anonymous(scales);
  auto* x = reinterpret_cast<uint16_t*>(source->data());
  for (size_t i = 0; i < elements; ++i)  // from 1 to 2
    x[i] = static_cast<uint16_t>(0x3F80 + (static_cast<uint32_t>(i * 2'654'435'761) >> 25));
  std::memset(copy->data(), 1, elements * 2);
  std::memset(codes->data(), 1, elements);
  std::memset(scale->data(), 1, scales);
  for (size_t turn = 0; turn < copy_ns.size(); ++turn) {
    int64_t start = now_ns();
    std::memcpy(copy->data(), source->data(), elements * 2);
    copy_ns[turn] = static_cast<double>(now_ns() - start);
    start = now_ns();
    kernels::quantise_rows(x, rows, hidden, reinterpret_cast<uint8_t*>(codes->data()),
                           reinterpret_cast<float*>(scale->data()), false);
    quantise_ns[turn] = static_cast<double>(now_ns() - start);
  }
}

}  // namespace weft::bench::ep
