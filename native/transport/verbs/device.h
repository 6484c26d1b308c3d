// The RDMA devices of this machine, their ports and addresses, and which of them a member uses.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace weft::verbs {

using Gid = std::array<uint8_t, 16>;

// An address of a port. RoCE has one for each IP address and version.
struct PortAddress {
  uint32_t index;
  Gid gid;
  std::string type;  // "IB/RoCE v1" or "RoCE v2", as the kernel says
  std::string text;  // "::ffff:10.0.0.1"
};

struct Port {
  uint8_t number = 0;
  std::string state;       // "ACTIVE", as the kernel says
  std::string link_layer;  // "InfiniBand" or "Ethernet"
  std::string interface;   // the network interface of an Ethernet port
  uint32_t mtu = 0;
  uint64_t max_message = 0;
  std::vector<PortAddress> addresses;
  bool active() const { return state == "ACTIVE"; }
};

struct Device {
  std::string name;
  std::string firmware;
  uint64_t max_region = 0;  // bytes
  uint32_t max_queue_pairs = 0;
  uint32_t max_requests = 0;  // of a queue pair
  uint32_t max_pieces = 0;    // of a gather list
  uint32_t max_completions = 0;
  uint32_t max_shared_receives = 0;
  bool dma_buf = false;  // registers memory of other devices, say of a GPU
  std::vector<Port> ports;
};

Expected<std::vector<Device>> list_devices();

// One of the ways that bytes of a link take.
struct Rail {
  std::string device;
  uint8_t port;
  PortAddress address;
  std::string why;  // this one
};

constexpr size_t kMaxRails = 4;

// The rails of a member that other members know by `host`. WEFT_VERBS_DEVICES (device[:port[:gid index]],
// comma between several) decides; without it the port with that address, or else the first active one.
Expected<std::vector<Rail>> choose_rails(const std::vector<Device>& devices, const std::string& host,
                                         const char* wanted);

}  // namespace weft::verbs
