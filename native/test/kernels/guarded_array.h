// Arrays with canaries around them, at an element offset that spoils vector alignment, and seeded randomness.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

#include "kernels/isa.h"

namespace weft::test {

template <class T>
class GuardedArray {
 public:
  // Filled with a pattern, not zeros: what a kernel leaves out is seen.
  explicit GuardedArray(size_t count, size_t offset = 0)
      : count_(count), start_(kGuard + offset), bytes_((start_ + count + kGuard) * sizeof(T), kCanary) {}

  T* data() { return reinterpret_cast<T*>(bytes_.data()) + start_; }
  const T* data() const { return reinterpret_cast<const T*>(bytes_.data()) + start_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data()[i]; }

  bool intact() const {
    const auto is_canary = [](unsigned char byte) { return byte == kCanary; };
    const auto first = bytes_.begin() + static_cast<ptrdiff_t>(start_ * sizeof(T));
    const auto last = first + static_cast<ptrdiff_t>(count_ * sizeof(T));
    return std::all_of(bytes_.begin(), first, is_canary) && std::all_of(last, bytes_.end(), is_canary);
  }

  bool same_bytes(const GuardedArray& other) const {
    return count_ == other.count_ &&
           (count_ == 0 || std::memcmp(data(), other.data(), count_ * sizeof(T)) == 0);
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr unsigned char kCanary = 0xA5;
  size_t count_;
  size_t start_;
  std::vector<unsigned char> bytes_;
};

// A new seed each run, printed; WEFT_SEED repeats one.
inline uint32_t seed() {
  static const uint32_t value = [] {
    const char* given = std::getenv("WEFT_SEED");
    const uint32_t chosen =
        given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 0)) : std::random_device{}();
    std::printf("WEFT_SEED=%u\n", chosen);
    return chosen;
  }();
  return value;
}

using Twister = std::mt19937;

inline size_t below(Twister& random, size_t limit) {
  return std::uniform_int_distribution<size_t>(0, limit - 1)(random);
}

// Numbers as activations have them, or any bit pattern at all: NaNs, infinities, zeros and subnormals among
// them.
enum class Content { plain, any_bits };

inline uint32_t random_f32_bits(Twister& random, Content kind) {
  static constexpr uint32_t kSpecial[] = {0x00000000, 0x80000000, 0x7F800000, 0xFF800000,
                                          0x7FC00000, 0xFFC12345, 0x7F800001, 0x00000001,
                                          0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F7F8000};
  if (kind == Content::any_bits) {
    const size_t pick = below(random, 64);
    return pick < std::size(kSpecial) ? kSpecial[pick] : static_cast<uint32_t>(random());
  }
  const float value =
      std::normal_distribution<float>()(random) * std::exp2(static_cast<float>(below(random, 24)) - 16);
  return std::bit_cast<uint32_t>(value);
}

template <class T>
void fill_random(GuardedArray<T>& array, Twister& random, Content kind) {
  for (size_t i = 0; i < array.size(); ++i) {
    const uint32_t bits = random_f32_bits(random, kind);
    if constexpr (std::is_same_v<T, uint16_t>) {
      array[i] = static_cast<uint16_t>(bits >> 16);
    } else if constexpr (std::is_same_v<T, float>) {
      array[i] = std::bit_cast<float>(bits);
    } else {
      array[i] = static_cast<T>(random());
    }
  }
}

// Runs its tests with every instruction set this machine has.
class EveryIsa : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_TRUE(kernels::force_isa(GetParam())); }
  void TearDown() override { kernels::force_isa(nullptr); }
  Twister random{seed()};
};

#define WEFT_ON_EVERY_ISA(Suite)                                                                     \
  INSTANTIATE_TEST_SUITE_P(                                                                          \
      Isa, Suite,                                                                                    \
      ::testing::ValuesIn(::weft::kernels::isa_names().begin(), ::weft::kernels::isa_names().end()), \
      [](const auto& info) { return std::string(info.param); })

}  // namespace weft::test
