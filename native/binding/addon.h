// The pieces of the addon.
#pragma once

#include <napi.h>

namespace weft::binding {

void init_listeners(Napi::Env env, Napi::Object exports);
void init_endpoint(Napi::Env env, Napi::Object exports);
void init_attention(Napi::Env env, Napi::Object exports);
void init_ffn(Napi::Env env, Napi::Object exports);
void init_expert(Napi::Env env, Napi::Object exports);
void init_kernels(Napi::Env env, Napi::Object exports);
void init_bench(Napi::Env env, Napi::Object exports);
void init_info(Napi::Env env, Napi::Object exports);

// Every handle kind has a tag: passing one for another is an error, never a misread pointer.
inline constexpr napi_type_tag kEndpointTag = {0x7765667400000001, 0x656e64706f696e74};
inline constexpr napi_type_tag kAttentionTag = {0x7765667400000002, 0x617474656e74696f};
inline constexpr napi_type_tag kListenersTag = {0x7765667400000004, 0x6c697374656e6572};
inline constexpr napi_type_tag kFfnTag = {0x7765667400000003, 0x66666e0000000000};
inline constexpr napi_type_tag kExpertTag = {0x7765667400000005, 0x6578706572740000};

}  // namespace weft::binding
