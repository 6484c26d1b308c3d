// Seeded randomness: WEFT_SEED=<number> repeats a run; a failing test prints the seed it ran with.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>

namespace weft::test {

// splitmix64: any two inputs give unrelated outputs, so it serves as a hash as well.
constexpr uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}
template <class... More>
constexpr uint64_t mix(uint64_t first, uint64_t second, More... more) {
  return mix(mix(first) ^ second, more...);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() { return mix(state_++); }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(next() % bound); }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  bool chance(uint32_t percent) { return below(100) < percent; }
  float unit() { return static_cast<float>(next() >> 40) / static_cast<float>(1 << 24); }
  void fill(std::span<std::byte> bytes) {
    size_t at = 0;
    for (; at + 8 <= bytes.size(); at += 8) {
      const uint64_t word = next();
      std::memcpy(bytes.data() + at, &word, 8);
    }
    if (at == bytes.size()) return;
    const uint64_t word = next();
    std::memcpy(bytes.data() + at, &word, bytes.size() - at);
  }

 private:
  uint64_t state_;
};

// The seed of one test. Lives in the test's body.
class Seed {
 public:
  Seed() {
    const char* given = std::getenv("WEFT_SEED");
    value = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  }
  ~Seed() {
    if (testing::Test::HasFailure())
      std::printf("to repeat: WEFT_SEED=%llu\n", static_cast<unsigned long long>(value));
  }
  uint64_t value;
};

}  // namespace weft::test
