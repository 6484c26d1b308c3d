#include <napi.h>

#include "binding/addon.h"

namespace weft::binding {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  init_listeners(env, exports);
  init_endpoint(env, exports);
  init_attention(env, exports);
  init_ffn(env, exports);
  init_expert(env, exports);
  init_kernels(env, exports);
  init_bench(env, exports);
  init_info(env, exports);
  return exports;
}

NODE_API_MODULE(tensorweft, init)

}  // namespace weft::binding
