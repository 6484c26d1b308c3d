#include "binding/listeners.h"

#include "binding/addon.h"
#include "binding/convert.h"

namespace weft::binding {

ListenersObject::ListenersObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ListenersObject>(info) {
  info.This().As<Napi::Object>().TypeTag(&kListenersTag);
}

ListenersObject* ListenersObject::from(Napi::Value value) {
  if (value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kListenersTag))
    return Unwrap(value.As<Napi::Object>());
  Napi::TypeError::New(value.Env(), "not Listeners").ThrowAsJavaScriptException();
  return nullptr;
}

// listen(transport, host, key) -> address for peers
Napi::Value ListenersObject::listen(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string name = info[0].ToString();
  const Transport* transport = find_transport(name);
  if (transport == nullptr) {
    to_js(env, {Code::unavailable, Phase::connect, kNoPeer, 0, "no such transport: " + name})
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto listener = transport->listen(info[1].ToString(), info[2].ToString());
  if (!listener) {
    to_js(env, listener.error()).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  listeners_.emplace_back(transport, std::move(listener->first));
  return Napi::String::New(env, listener->second);
}

Napi::Function ListenersObject::define(Napi::Env env) {
  return DefineClass(
      env, "Listeners",
      {InstanceMethod("listen", &ListenersObject::listen), InstanceMethod("close", &ListenersObject::close)});
}

void init_listeners(Napi::Env env, Napi::Object exports) {
  exports.Set("Listeners", ListenersObject::define(env));
}

}  // namespace weft::binding
