#include "binding/ffn.h"

namespace weft::binding {

void init_ffn(Napi::Env env, Napi::Object exports) { exports.Set("Ffn", FfnObject::define(env)); }

}  // namespace weft::binding
