// What the benchmarks' bindings share.
#pragma once

#include <napi.h>

#include <span>
#include <vector>

#include "memory/fd.h"

namespace weft::binding {

// A rank's connections for the contenders that are plain sockets.
struct Sockets {
  Fd listener;
  std::vector<Fd> peers;
};

inline std::span<double> samples_of(const Napi::Value& value) {
  auto array = value.As<Napi::Float64Array>();
  return {array.Data(), array.ElementLength()};
}

void add_bench_ep(Napi::Env env, Napi::Object bench);

}  // namespace weft::binding
