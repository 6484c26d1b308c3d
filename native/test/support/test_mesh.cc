#include "support/test_mesh.h"

#include <unistd.h>

#include <atomic>
#include <numeric>
#include <thread>

#include "transport/self_link.h"

namespace weft::test {

MeshPlan::MeshPlan(std::string transport_name, const ExchangeConfig& exchange, WaitPolicy policy)
    : transport(std::move(transport_name)),
      config(exchange),
      wait(policy),
      arena(std::make_shared<ArenaPlan>(exchange)),
      dispatch(&arena->dispatch()),
      reply(&arena->reply()) {
  static std::atomic<int> serial{0};
  key = std::to_string(getpid()) + "-" + std::to_string(serial++);
}

wire::Bytes32 MeshPlan::proof(uint32_t from, uint32_t to) {
  wire::Bytes32 proof{};
  proof[0] = static_cast<uint8_t>(from + 1);
  proof[31] = static_cast<uint8_t>(to + 1);
  return proof;
}

EndpointOptions MeshPlan::options(uint32_t member) const {
  EndpointOptions options;
  options.mesh_id.fill(0x5A);
  options.epoch = 0x1'0000'0007;  // frames carry the low half only
  options.member = member;
  options.config_hash.fill(0xC0);
  options.arena_bytes = arena_bytes(member);
  options.wait = wait;
  options.host = hosts.empty() ? "127.0.0.1" : hosts[member];
  return options;
}

PeerSpec MeshPlan::peer(uint32_t member, uint32_t of, const std::string& address) const {
  PeerSpec spec;
  spec.member = of;
  spec.transport = transport;
  spec.address = address;
  spec.dial = config.symmetric ? member < of : is_attention(member);
  spec.our_proof = proof(member, of);
  spec.their_proof = proof(of, member);
  spec.inbound = arena->inbound(is_attention(member), rank(member));
  if (member == of) spec.transport = kSelf;
  return spec;
}

std::vector<PeerSpec> MeshPlan::peers(uint32_t member, const std::vector<std::string>& addresses) const {
  std::vector<PeerSpec> specs;
  for (uint32_t of = 0; of < members(); ++of)
    if (config.symmetric || is_attention(of) != is_attention(member))
      specs.push_back(peer(member, of, addresses[of]));
  return specs;
}

WaitPolicy with_pollers(WaitPolicy wait, const ExchangeConfig& config) {
  wait.pollers = config.attention + config.ffn;
  return wait;
}

Expected<Rank> Rank::listen(const MeshPlan& plan, uint32_t member, std::string& address) {
  Rank rank;
  auto endpoint = Endpoint::create(plan.options(member));
  if (!endpoint) return std::unexpected(endpoint.error());
  rank.endpoint = std::move(*endpoint);
  auto listening = rank.endpoint->listen(*find_transport(plan.transport), rank.endpoint->options().host,
                                         plan.listen_key(member));
  if (!listening) return std::unexpected(listening.error());
  address = *listening;
  return rank;
}

Expected<void> Rank::connect(const MeshPlan& plan, uint32_t member, const std::vector<std::string>& addresses,
                             int64_t deadline, const std::atomic<bool>* cancelled) {
  if (auto done = endpoint->connect(plan.peers(member, addresses), deadline, cancelled); !done) return done;
  std::vector<size_t> links(endpoint->peers());
  std::iota(links.begin(), links.end(), 0);
  const uint32_t number = plan.rank(member);
  if (plan.is_attention(member))
    attention = std::make_unique<AttentionSide>(*endpoint, plan.config, number, links);
  if (plan.config.symmetric)
    expert = std::make_unique<ExpertSide>(*endpoint, plan.config, number, links);
  else if (!plan.is_attention(member))
    ffn = std::make_unique<FfnSide>(*endpoint, plan.config, number, links);
  return {};
}

Expected<std::unique_ptr<TestMesh>> TestMesh::make(const MeshPlan& plan) {
  auto mesh = std::make_unique<TestMesh>(plan);
  std::vector<std::string> addresses(plan.members());
  for (uint32_t member = 0; member < plan.members(); ++member) {
    auto rank = Rank::listen(mesh->plan, member, addresses[member]);
    if (!rank) return std::unexpected(rank.error());
    (plan.is_attention(member) ? mesh->attention : mesh->ffn).push_back(std::move(*rank));
  }
  std::vector<Expected<void>> outcomes(plan.members());
  {
    std::vector<std::jthread> threads;
    for (uint32_t member = 0; member < plan.members(); ++member)
      threads.emplace_back([&, member] {
        Rank& rank =
            plan.is_attention(member) ? mesh->attention[member] : mesh->ffn[member - plan.config.attention];
        outcomes[member] = rank.connect(mesh->plan, member, addresses, deadline_after_ms(20'000));
      });
  }
  for (auto& outcome : outcomes)
    if (!outcome) return std::unexpected(outcome.error());
  return mesh;
}

Expected<std::unique_ptr<TestMesh>> TestMesh::make(const std::string& transport, const ExchangeConfig& config,
                                                   WaitPolicy wait) {
  return make(MeshPlan(transport, config, with_pollers(wait, config)));
}

}  // namespace weft::test
