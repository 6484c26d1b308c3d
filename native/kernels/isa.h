// Which instruction set the kernels use. All give the same bytes; they differ in speed only.
#pragma once

#include <span>

namespace weft::kernels {

// What run-time dispatch chose: "AVX3_DL", "AVX3", "AVX2", "SSE4", "NEON" or "scalar". Static storage.
const char* isa_name();

// Everything this build can run on this CPU, the fastest first; "scalar" is always the last. Static storage.
std::span<const char* const> isa_names();

// For tests and benchmarks. Takes a name out of isa_names(), or nullptr for the default; false when there is
// no such name, and then nothing changes. Kernels that run meanwhile in other threads finish with what they
// started with.
bool force_isa(const char* name);

// force_isa("scalar"), or back to the default.
void force_scalar(bool on);

}  // namespace weft::kernels
