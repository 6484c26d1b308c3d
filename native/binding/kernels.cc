// Bulk conversion for JavaScript. Every function takes typed arrays and element offsets, and checks that what
// it reads and writes lies within them.
#include "binding/addon.h"
#include "binding/convert.h"
#include "kernels/convert.h"
#include "kernels/gather.h"
#include "kernels/quantise.h"

namespace weft::binding {

namespace {

template <class T>
struct Span {
  T* data = nullptr;
  size_t size = 0;
};

// Over whatever the array lies in, a SharedArrayBuffer too.
template <class T>
Span<T> span(const Napi::CallbackInfo& info, size_t i) {
  void* data = nullptr;
  const size_t bytes = bytes_of(info[i], data);
  return {static_cast<T*>(data), bytes / sizeof(T)};
}

bool is_f32(const Napi::CallbackInfo& info, size_t i) {
  return info[i].IsTypedArray() && info[i].As<Napi::TypedArray>().TypedArrayType() == napi_float32_array;
}

// quantise(src bf16|f32, q, scales, rows, hidden, powerOfTwo) -> code
Napi::Value quantise(const Napi::CallbackInfo& info) {
  const auto q = span<uint8_t>(info, 1);
  const auto scales = span<float>(info, 2);
  const size_t rows = arg_u32(info, 3), hidden = arg_u32(info, 4);
  const bool power_of_two = arg_flag(info, 5);
  if (q.size < rows * hidden || scales.size < rows * kernels::groups_of(hidden))
    return code(info, Code::invalid_argument);
  if (is_f32(info, 0)) {
    const auto src = span<const float>(info, 0);
    if (src.size < rows * hidden) return code(info, Code::invalid_argument);
    kernels::quantise_rows(src.data, rows, hidden, q.data, scales.data, power_of_two);
  } else {
    const auto src = span<const uint16_t>(info, 0);
    if (src.size < rows * hidden) return code(info, Code::invalid_argument);
    kernels::quantise_rows(src.data, rows, hidden, q.data, scales.data, power_of_two);
  }
  return code(info, Code::ok);
}

// dequantise(q, scales, out bf16|f32, rows, hidden) -> code
Napi::Value dequantise(const Napi::CallbackInfo& info) {
  const auto q = span<const uint8_t>(info, 0);
  const auto scales = span<const float>(info, 1);
  const size_t rows = arg_u32(info, 3), hidden = arg_u32(info, 4);
  if (q.size < rows * hidden || scales.size < rows * kernels::groups_of(hidden))
    return code(info, Code::invalid_argument);
  if (is_f32(info, 2)) {
    const auto out = span<float>(info, 2);
    if (out.size < rows * hidden) return code(info, Code::invalid_argument);
    kernels::dequantise_rows(q.data, scales.data, rows, hidden, out.data);
  } else {
    const auto out = span<uint16_t>(info, 2);
    if (out.size < rows * hidden) return code(info, Code::invalid_argument);
    kernels::dequantise_rows(q.data, scales.data, rows, hidden, out.data);
  }
  return code(info, Code::ok);
}

// widen(bf16, f32) and narrow(f32, bf16), of as many elements as the source has
Napi::Value widen(const Napi::CallbackInfo& info) {
  const auto src = span<const uint16_t>(info, 0);
  const auto out = span<float>(info, 1);
  if (out.size < src.size) return code(info, Code::invalid_argument);
  kernels::bf16_to_f32(src.data, out.data, src.size);
  return code(info, Code::ok);
}
Napi::Value narrow(const Napi::CallbackInfo& info) {
  const auto src = span<const float>(info, 0);
  const auto out = span<uint16_t>(info, 1);
  if (out.size < src.size) return code(info, Code::invalid_argument);
  kernels::f32_to_bf16(src.data, out.data, src.size);
  return code(info, Code::ok);
}

// gather(src, index, rowBytes, out, outRow): rows index[i] of src, of rowBytes each, behind each other in out
// from row outRow on -> code
Napi::Value gather(const Napi::CallbackInfo& info) {
  const auto src = span<const std::byte>(info, 0);
  const auto index = span<const uint32_t>(info, 1);
  const size_t row_bytes = arg_u32(info, 2);
  const auto out = span<std::byte>(info, 3);
  const size_t first = arg_u32(info, 4);
  if (out.size < (first + index.size) * row_bytes) return code(info, Code::invalid_argument);
  for (size_t i = 0; i < index.size; ++i)
    if ((size_t{index.data[i]} + 1) * row_bytes > src.size) return code(info, Code::invalid_argument);
  kernels::gather_rows(src.data, row_bytes, index.data, index.size, row_bytes, out.data + first * row_bytes);
  return code(info, Code::ok);
}

}  // namespace

void init_kernels(Napi::Env env, Napi::Object exports) {
  exports.Set("quantise", Napi::Function::New(env, quantise));
  exports.Set("dequantise", Napi::Function::New(env, dequantise));
  exports.Set("widen", Napi::Function::New(env, widen));
  exports.Set("gather", Napi::Function::New(env, gather));
  exports.Set("narrow", Napi::Function::New(env, narrow));
}

}  // namespace weft::binding
