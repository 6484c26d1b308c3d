// Where experts are, and how a row names the replica of an expert that it chose.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

namespace weft {

// Each expert is on one rank, or on several that share its rows (replicas).
class Placement {
 public:
  Placement() = default;
  // One rank for each expert.
  Placement(std::initializer_list<uint32_t> ranks) {
    for (const uint32_t rank : ranks) add({&rank, 1});
  }

  void add(std::span<const uint32_t> replicas) {
    ranks_.insert(ranks_.end(), replicas.begin(), replicas.end());
    first_.push_back(static_cast<uint32_t>(ranks_.size()));
  }
  void add(uint32_t rank) { add({&rank, 1}); }

  uint32_t experts() const { return static_cast<uint32_t>(first_.size()) - 1; }
  // The ranks that have the expert.
  std::span<const uint32_t> of(uint32_t expert) const {
    return {ranks_.data() + first_[expert], first_[expert + 1] - first_[expert]};
  }
  // Replicas have numbers of their own, expert by expert.
  uint32_t replicas() const { return static_cast<uint32_t>(ranks_.size()); }
  uint32_t replica(uint32_t expert, uint32_t i) const { return first_[expert] + i; }

 private:
  std::vector<uint32_t> first_ = {0};  // [experts + 1]
  std::vector<uint32_t> ranks_;        // [replicas]
};

// The column of experts holds, for each choice of a row, the expert and which of its replicas serves it;
// negative: no expert. With one replica that is the expert's number.
constexpr unsigned kExpertBits = 20;
constexpr uint32_t kMaxExperts = 1u << kExpertBits;
constexpr uint32_t kMaxReplicas = 1u << (31 - kExpertBits);  // of one expert

constexpr int32_t choice_of(uint32_t expert, uint32_t replica) {
  return static_cast<int32_t>(replica << kExpertBits | expert);
}
constexpr uint32_t expert_of(int32_t choice) { return static_cast<uint32_t>(choice) & (kMaxExperts - 1); }
constexpr uint32_t replica_of(int32_t choice) { return static_cast<uint32_t>(choice) >> kExpertBits; }

}  // namespace weft
