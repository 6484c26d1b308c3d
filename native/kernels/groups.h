// Internal: walks a matrix group by group.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/quantise.h"

namespace weft::kernels {

// Calls visit(first element, channels, scale index) for each row and group, in memory order.
template <class Visit>
void for_each_group(size_t rows, size_t hidden, Visit visit) {
  size_t scale = 0;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t channel = 0; channel < hidden; channel += kGroup, ++scale) {
      visit(row * hidden + channel, std::min(kGroup, hidden - channel), scale);
    }
  }
}

}  // namespace weft::kernels
