#include "binding/attention.h"

namespace weft::binding {

void init_attention(Napi::Env env, Napi::Object exports) {
  exports.Set("Attention", AttentionObject::define(env));
}

}  // namespace weft::binding
