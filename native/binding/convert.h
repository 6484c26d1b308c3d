// Between JavaScript values and native ones. Arguments were checked in TypeScript; here only what would break
// memory safety is checked again.
#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "core/status.h"
#include "memory/mapping.h"

namespace weft::binding {

inline double number(const Napi::Object& object, const char* key) {
  return object.Get(key).ToNumber().DoubleValue();
}
inline uint32_t u32(const Napi::Object& object, const char* key) {
  return object.Get(key).ToNumber().Uint32Value();
}
inline bool flag(const Napi::Object& object, const char* key) { return object.Get(key).ToBoolean(); }
inline std::string text(const Napi::Object& object, const char* key) {
  return object.Get(key).ToString().Utf8Value();
}

template <size_t N>
std::array<uint8_t, N> bytes(const Napi::Object& object, const char* key) {
  std::array<uint8_t, N> out{};
  const Napi::Value value = object.Get(key);
  if (!value.IsTypedArray()) return out;
  const auto array = value.As<Napi::Uint8Array>();
  std::copy_n(array.Data(), std::min(N, array.ByteLength()), out.data());
  return out;
}

// Read without coercion, which costs several times as much: 0 for what is no number, false for no boolean.
inline double arg_f64(const Napi::CallbackInfo& info, size_t i) {
  double value = 0;
  napi_get_value_double(info.Env(), info[i], &value);
  return value;
}
inline uint32_t arg_u32(const Napi::CallbackInfo& info, size_t i) {
  uint32_t value = 0;
  napi_get_value_uint32(info.Env(), info[i], &value);
  return value;
}
inline bool arg_flag(const Napi::CallbackInfo& info, size_t i) {
  bool value = false;
  napi_get_value_bool(info.Env(), info[i], &value);
  return value;
}
// Generations fit a double exactly: they have 44 bits.
inline uint64_t generation(const Napi::CallbackInfo& info, size_t i) {
  int64_t value = 0;
  napi_get_value_int64(info.Env(), info[i], &value);
  return static_cast<uint64_t>(value);
}

inline size_t element_size(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return 1;
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    default:
      return 8;
  }
}

// Where a typed array's elements are, and how many bytes they take; 0 for anything else.
inline size_t bytes_of(const Napi::Value& value, void*& data) {
  size_t length = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok)
    return 0;
  return data == nullptr ? 0 : length * element_size(type);
}

inline Napi::Value code(const Napi::CallbackInfo& info, Code code) {
  return Napi::Number::New(info.Env(), static_cast<int>(code));
}

// The flag of a blocking call's canceller: an Int32Array over a SharedArrayBuffer, or nothing.
inline const std::atomic<int32_t>* cancel_flag(const Napi::CallbackInfo& info, size_t i) {
  if (!info[i].IsTypedArray()) return nullptr;
  const auto array = info[i].As<Napi::Int32Array>();
  return array.ElementLength() == 0 ? nullptr : reinterpret_cast<const std::atomic<int32_t>*>(array.Data());
}

// An error that src/native.ts turns into a WeftError.
inline Napi::Error to_js(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.what);
  js.Set("weft", Napi::Number::New(env, static_cast<int>(error.code)));
  js.Set("phase", Napi::Number::New(env, static_cast<int>(error.phase)));
  js.Set("peer", Napi::Number::New(env, error.peer));
  js.Set("errno", Napi::Number::New(env, error.system_error));
  return js;
}

// A view of native memory; whatever `owner` holds stays alive until JavaScript lets go of the buffer.
template <class T>
Napi::ArrayBuffer view(Napi::Env env, void* data, size_t size, std::shared_ptr<T> owner) {
  auto* keep = new std::shared_ptr<T>(std::move(owner));
  return Napi::ArrayBuffer::New(env, data, size, [keep](Napi::Env, void*) { delete keep; });
}

}  // namespace weft::binding
