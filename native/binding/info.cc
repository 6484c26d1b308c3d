// What this build is, and what it found on this machine.
#include <cstdio>
#include <random>
#include <string>

#include "binding/addon.h"
#include "core/cpu.h"
#include "kernels/isa.h"
#include "transport/transport.h"
#include "transport/ucx/ucx.h"
#include "transport/verbs/device.h"
#include "wire/frame.h"

namespace weft::binding {

namespace {

// One for the process, whatever number of threads load the addon.
const std::string& process_key() {
  static const std::string key = [] {
    std::random_device random;
    char text[17];
    std::snprintf(text, sizeof text, "%08x%08x", random(), random());
    return std::string(text);
  }();
  return key;
}

Napi::Value info_of_build(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto out = Napi::Object::New(env);
  out.Set("compiler", "gcc " __VERSION__);
#ifdef WEFT_HAVE_HWY
  out.Set("simd", "highway");
#else
  out.Set("simd", "scalar");
#endif
  out.Set("isa", kernels::isa_name());
  out.Set("cores", usable_cores());
  out.Set("frameVersion", static_cast<double>(wire::kFrameVersion));
  auto transports = Napi::Array::New(env);
  uint32_t n = 0;
  for (const Transport* transport : all_transports()) {
    auto one = Napi::Object::New(env);
    one.Set("name", std::string(transport->name()));
    one.Set("sharesMemory", transport->shares_memory());
    transports.Set(n++, one);
  }
  out.Set("transports", transports);
  return out;
}

// unavailable(transport) -> why it can't be used here; empty when it can
Napi::Value unavailable(const Napi::CallbackInfo& info) {
  const Transport* transport = find_transport(info[0].ToString().Utf8Value());
  return Napi::String::New(info.Env(),
                           transport == nullptr ? "this build does not know it" : transport->unavailable());
}

Napi::Object to_js(Napi::Env env, const verbs::Port& port) {
  auto js = Napi::Object::New(env);
  js.Set("number", static_cast<double>(port.number));
  js.Set("state", port.state);
  js.Set("linkLayer", port.link_layer);
  js.Set("interface", port.interface);
  js.Set("mtu", port.mtu);
  js.Set("maxMessageBytes", static_cast<double>(port.max_message));
  auto gids = Napi::Array::New(env);
  for (uint32_t i = 0; i < port.addresses.size(); ++i) {
    auto gid = Napi::Object::New(env);
    gid.Set("index", port.addresses[i].index);
    gid.Set("type", port.addresses[i].type);
    gid.Set("gid", port.addresses[i].text);
    gids.Set(i, gid);
  }
  js.Set("gids", gids);
  return js;
}

Napi::Object to_js(Napi::Env env, const verbs::Device& device) {
  auto js = Napi::Object::New(env);
  js.Set("name", device.name);
  js.Set("firmware", device.firmware);
  js.Set("maxRegionBytes", static_cast<double>(device.max_region));
  js.Set("maxQueuePairs", device.max_queue_pairs);
  js.Set("maxRequests", device.max_requests);
  js.Set("maxPieces", device.max_pieces);
  js.Set("maxCompletions", device.max_completions);
  js.Set("maxSharedReceives", device.max_shared_receives);
  js.Set("dmaBuf", device.dma_buf);
  auto ports = Napi::Array::New(env);
  for (uint32_t i = 0; i < device.ports.size(); ++i) ports.Set(i, to_js(env, device.ports[i]));
  js.Set("ports", ports);
  return js;
}

// rdmaDevices() -> those of this machine, or why there can't be any
Napi::Value rdma_devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto found = verbs::list_devices();
  if (!found) return Napi::String::New(env, found.error().what);
  auto devices = Napi::Array::New(env);
  for (uint32_t i = 0; i < found->size(); ++i) devices.Set(i, to_js(env, (*found)[i]));
  return devices;
}

Napi::Array to_js(Napi::Env env, const std::vector<std::string>& texts) {
  auto js = Napi::Array::New(env);
  for (uint32_t i = 0; i < texts.size(); ++i) js.Set(i, texts[i]);
  return js;
}

// ucxOffer() -> what UCX could use here, or why it can't be used
Napi::Value ucx_offer_of_machine(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto offer = ucx_offer();
  if (!offer) return Napi::String::New(env, offer.error().what);
  auto js = Napi::Object::New(env);
  js.Set("version", offer->version);
  js.Set("resources", to_js(env, offer->resources));
  js.Set("fabric", offer->fabric);
  js.Set("memory", to_js(env, offer->memory));
  return js;
}

}  // namespace

void init_info(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New(env, info_of_build));
  exports.Set("unavailable", Napi::Function::New(env, unavailable));
  exports.Set("rdmaDevices", Napi::Function::New(env, rdma_devices));
  exports.Set("ucxOffer", Napi::Function::New(env, ucx_offer_of_machine));
  exports.Set("processKey", process_key());
}

}  // namespace weft::binding
