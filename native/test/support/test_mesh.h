// M attention and N ffn members, or the ranks of a symmetric mesh: how the native tests set up a mesh, in one
// process or (one member each) in several.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exchange/arena_plan.h"
#include "exchange/attention.h"
#include "exchange/expert.h"
#include "exchange/ffn.h"

namespace weft::test {

// What all members of a test mesh know beforehand.
struct MeshPlan {
  MeshPlan(std::string transport, const ExchangeConfig& config, WaitPolicy wait = {});

  uint32_t members() const { return config.attention + (config.symmetric ? 0 : config.ffn); }
  bool is_attention(uint32_t member) const { return member < config.attention; }
  // Its number on its side.
  uint32_t rank(uint32_t member) const { return is_attention(member) ? member : member - config.attention; }
  size_t heap_at(uint32_t member) const { return arena->heap_at(is_attention(member)); }
  size_t arena_bytes(uint32_t member) const { return heap_at(member) + heap_bytes; }
  EndpointOptions options(uint32_t member) const;
  std::string listen_key(uint32_t member) const { return key + "-" + std::to_string(member); }
  // Attention ranks dial. addresses: [members], of those that listen.
  std::vector<PeerSpec> peers(uint32_t member, const std::vector<std::string>& addresses) const;
  PeerSpec peer(uint32_t member, uint32_t of, const std::string& address) const;
  static wire::Bytes32 proof(uint32_t from, uint32_t to);

  std::string transport;
  ExchangeConfig config;
  WaitPolicy wait;
  std::vector<std::string> hosts;  // by member, when they are not all 127.0.0.1
  size_t heap_bytes = 0;           // of each arena, behind the publications
  std::string key;                 // unique in this process and, by the process id, on this host
  std::shared_ptr<const ArenaPlan> arena;
  const wire::PublicationLayout *dispatch, *reply;
};

// All members poll in one process.
WaitPolicy with_pollers(WaitPolicy wait, const ExchangeConfig& config);

// One member. The plan that it was made from must outlive it.
struct Rank {
  Rank() = default;
  Rank(Rank&&) = default;
  Rank& operator=(Rank&&) = default;
  // The service thread may step operations of the sides, so it ends first.
  ~Rank() {
    if (endpoint) endpoint->close();
  }

  std::unique_ptr<Endpoint> endpoint;
  std::unique_ptr<AttentionSide> attention;
  std::unique_ptr<FfnSide> ffn;
  std::unique_ptr<ExpertSide> expert;  // of a symmetric mesh; it has an attention side, too

  // Makes the endpoint and starts to listen.
  static Expected<Rank> listen(const MeshPlan& plan, uint32_t member, std::string& address);
  Expected<void> connect(const MeshPlan& plan, uint32_t member, const std::vector<std::string>& addresses,
                         int64_t deadline, const std::atomic<bool>* cancelled = nullptr);
};

// All members in this process, connected.
struct TestMesh {
  explicit TestMesh(MeshPlan p) : plan(std::move(p)) {}

  MeshPlan plan;
  std::vector<Rank> attention, ffn;  // symmetric: all are in the first

  static Expected<std::unique_ptr<TestMesh>> make(const MeshPlan& plan);
  static Expected<std::unique_ptr<TestMesh>> make(const std::string& transport, const ExchangeConfig& config,
                                                  WaitPolicy wait = {});
};

}  // namespace weft::test
