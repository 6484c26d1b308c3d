// What this build is, and what it found on this machine.
#include <cstdio>
#include <random>
#include <string>

#include "binding/addon.h"
#include "core/cpu.h"
#include "kernels/isa.h"
#include "transport/transport.h"
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
    one.Set("unavailable", transport->unavailable());
    one.Set("sharesMemory", transport->shares_memory());
    transports.Set(n++, one);
  }
  out.Set("transports", transports);
  return out;
}

}  // namespace

void init_info(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New(env, info_of_build));
  exports.Set("processKey", process_key());
}

}  // namespace weft::binding
