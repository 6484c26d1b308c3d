#include "transport/verbs/device.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>

#include "transport/verbs/library.h"

namespace weft::verbs {

#if WEFT_HAVE_VERBS

namespace {

// What the kernel says in /sys: of addresses it says more there than older libraries can.
std::string line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<PortAddress> addresses_of(const std::string& port_folder, int count) {
  std::vector<PortAddress> addresses;
  // Tables have a thousand places, of which the first few are used; to read an empty one takes a system call
  // or three.
  constexpr int kGap = 16;
  for (int i = 0, last = 0; i < std::min(count, last + kGap); ++i) {
    const std::string number = std::to_string(i);
    const std::string text = line_of(port_folder + "/gids/" + number);
    PortAddress address{
        static_cast<uint32_t>(i), {}, line_of(port_folder + "/gid_attrs/types/" + number), {}};
    if (inet_pton(AF_INET6, text.c_str(), address.gid.data()) != 1) continue;
    if (std::all_of(address.gid.begin(), address.gid.end(), [](uint8_t b) { return b == 0; })) continue;
    char shown[INET6_ADDRSTRLEN];
    address.text = inet_ntop(AF_INET6, address.gid.data(), shown, sizeof shown);
    last = i;
    addresses.push_back(std::move(address));
  }
  return addresses;
}

Port port_of(const Library& verbs, ibv_context* context, const std::string& device, uint8_t number) {
  Port port;
  port.number = number;
  ibv_port_attr attributes;
  if (query_port(verbs, context, number, attributes) != 0) return port;
  const std::string folder = "/sys/class/infiniband/" + device + "/ports/" + std::to_string(number);
  const std::string state = line_of(folder + "/state");  // "4: ACTIVE"
  port.state = state.substr(std::min(state.size(), state.find(' ') + 1));
  port.link_layer = attributes.link_layer == IBV_LINK_LAYER_ETHERNET ? "Ethernet" : "InfiniBand";
  port.interface = line_of(folder + "/gid_attrs/ndevs/0");
  port.mtu = 128u << attributes.active_mtu;
  port.max_message = attributes.max_msg_sz;
  port.addresses = addresses_of(folder, attributes.gid_tbl_len);
  return port;
}

// Asked with a descriptor that is none: who has dma-buf complains about that.
bool takes_dma_buf(const Library& verbs, ibv_context* context) {
  if (verbs.ibv_reg_dmabuf_mr == nullptr) return false;
  ibv_pd* domain = verbs.ibv_alloc_pd(context);
  if (domain == nullptr) return false;
  errno = 0;
  const ibv_mr* region = verbs.ibv_reg_dmabuf_mr(domain, 0, 4096, 0, -1, 0);
  const bool taken = region != nullptr || errno == EBADF;
  verbs.ibv_dealloc_pd(domain);
  return taken;
}

Device device_of(const Library& verbs, ibv_device* handle) {
  Device device;
  device.name = verbs.ibv_get_device_name(handle);
  ibv_context* context = verbs.ibv_open_device(handle);
  if (context == nullptr) return device;
  ibv_device_attr attributes{};
  if (verbs.ibv_query_device(context, &attributes) == 0) {
    device.firmware = attributes.fw_ver;
    device.max_region = attributes.max_mr_size;
    device.max_queue_pairs = static_cast<uint32_t>(attributes.max_qp);
    device.max_requests = static_cast<uint32_t>(attributes.max_qp_wr);
    device.max_pieces = static_cast<uint32_t>(attributes.max_sge);
    device.max_completions = static_cast<uint32_t>(attributes.max_cqe);
    device.max_shared_receives = static_cast<uint32_t>(attributes.max_srq_wr);
    device.dma_buf = takes_dma_buf(verbs, context);
    for (uint8_t number = 1; number <= attributes.phys_port_cnt; ++number)
      device.ports.push_back(port_of(verbs, context, device.name, number));
  }
  verbs.ibv_close_device(context);
  return device;
}

}  // namespace

Expected<std::vector<Device>> list_devices() {
  const auto verbs = library();
  if (!verbs) return std::unexpected(verbs.error());
  int count = 0;
  ibv_device** handles = (*verbs)->ibv_get_device_list(&count);
  if (handles == nullptr)
    return fail(Code::unavailable, "the kernel offers no RDMA: load ib_uverbs and a device's driver", errno);
  std::vector<Device> devices;
  for (int i = 0; i < count; ++i) devices.push_back(device_of(**verbs, handles[i]));
  (*verbs)->ibv_free_device_list(handles);
  return devices;
}

#else

Expected<std::vector<Device>> list_devices() { return std::unexpected(library().error()); }

#endif

namespace {

// RoCE v2 over IPv4 is what networks route; version 1 does not leave its segment. InfiniBand has one kind.
int rank_of(const Port& port, const PortAddress& address) {
  if (port.link_layer == "InfiniBand") return address.index == 0 ? 3 : 2;
  if (address.type != "RoCE v2") return 0;
  return address.text.starts_with("::ffff:") ? 3 : address.text.starts_with("fe80:") ? 1 : 2;
}

const PortAddress* best_address(const Port& port) {
  const auto best = std::max_element(
      port.addresses.begin(), port.addresses.end(),
      [&](const PortAddress& a, const PortAddress& b) { return rank_of(port, a) < rank_of(port, b); });
  return best == port.addresses.end() ? nullptr : &*best;
}

struct Wish {
  std::string device;
  int port = -1;
  int gid = -1;
};

bool parse(std::string_view text, Wish& wish) {
  const auto next = [&] {
    const size_t colon = std::min(text.find(':'), text.size());
    const std::string_view part = text.substr(0, colon);
    text.remove_prefix(std::min(text.size(), colon + 1));
    return part;
  };
  wish.device = next();
  for (int* number : {&wish.port, &wish.gid}) {
    if (text.empty()) break;
    const std::string_view part = next();
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), *number);
    if (error != std::errc{} || end != part.data() + part.size() || *number < 0) return false;
  }
  return !wish.device.empty() && text.empty();
}

Expected<Rail> rail_for(const std::vector<Device>& devices, std::string_view text) {
  const std::string quoted = "WEFT_VERBS_DEVICES: '" + std::string(text) + "' ";
  Wish wish;
  if (!parse(text, wish)) return fail(Code::invalid_argument, quoted + "is not device[:port[:gid index]]");
  for (const Device& device : devices) {
    if (device.name != wish.device) continue;
    for (const Port& port : device.ports) {
      if (wish.port >= 0 ? port.number != wish.port : !port.active()) continue;
      const auto match = std::find_if(
          port.addresses.begin(), port.addresses.end(),
          [&](const PortAddress& address) { return static_cast<int>(address.index) == wish.gid; });
      const PortAddress* address = wish.gid < 0                    ? best_address(port)
                                   : match == port.addresses.end() ? nullptr
                                                                   : &*match;
      if (address == nullptr || address->index > UINT8_MAX)
        return fail(Code::unavailable, quoted + "has no such GID");
      if (!port.active()) return fail(Code::unavailable, quoted + "is " + port.state);
      return Rail{device.name, port.number, *address, "WEFT_VERBS_DEVICES says so"};
    }
    return fail(Code::unavailable, quoted + "has no such port, or none that is active");
  }
  std::string names;
  for (const Device& device : devices) names += (names.empty() ? "" : ", ") + device.name;
  return fail(Code::unavailable, quoted + "is none of " + (names.empty() ? "(no devices)" : names));
}

}  // namespace

Expected<std::vector<Rail>> choose_rails(const std::vector<Device>& devices, const std::string& host,
                                         const char* wanted) {
  std::vector<Rail> rails;
  if (wanted != nullptr && *wanted != '\0') {
    for (std::string_view rest = wanted; !rest.empty();) {
      const size_t comma = std::min(rest.find(','), rest.size());
      auto rail = rail_for(devices, rest.substr(0, comma));
      if (!rail) return std::unexpected(rail.error());
      if (rails.size() == kMaxRails)
        return fail(Code::invalid_argument, "WEFT_VERBS_DEVICES names more than 4 rails");
      rails.push_back(std::move(*rail));
      rest.remove_prefix(std::min(rest.size(), comma + 1));
    }
    return rails;
  }
  if (devices.empty()) return fail(Code::unavailable, "this machine has no RDMA device");
  for (const Device& device : devices)
    for (const Port& port : device.ports)
      for (const PortAddress& address : port.addresses)
        if (port.active() && rank_of(port, address) > 0 &&
            (address.text == "::ffff:" + host || address.text == host))
          return std::vector{Rail{device.name, port.number, address, "it has the address " + host}};
  for (const Device& device : devices)
    for (const Port& port : device.ports)
      if (const PortAddress* address = port.active() ? best_address(port) : nullptr)
        return std::vector{Rail{device.name, port.number, *address, "the first active port"}};
  return fail(Code::unavailable, "no port of an RDMA device is active");
}

}  // namespace weft::verbs
