#pragma once

#include "exchange/attention.h"

#include "binding/addon.h"
#include "binding/completions.h"
#include "binding/convert.h"
#include "binding/endpoint.h"

namespace weft::binding {

// new Attention(endpoint, onCombined(generation, code, blamedMember))
class AttentionObject : public Napi::ObjectWrap<AttentionObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Attention",
        {InstanceMethod("claim", &AttentionObject::claim),
         InstanceMethod("publish", &AttentionObject::publish),
         InstanceMethod("badToken", &AttentionObject::bad_token),
         InstanceMethod("abandon", &AttentionObject::abandon),
         InstanceMethod("reweigh", &AttentionObject::reweigh), InstanceMethod("bias", &AttentionObject::bias),
         InstanceMethod("combineSync", &AttentionObject::combine_sync),
         InstanceMethod("combineStart", &AttentionObject::combine_start),
         InstanceMethod("combineCancel", &AttentionObject::combine_cancel),
         InstanceMethod("blamed", &AttentionObject::blamed),
         InstanceMethod("missing", &AttentionObject::missing),
         InstanceMethod("waits", &AttentionObject::waits),
         InstanceMethod("replyRows", &AttentionObject::reply_rows),
         InstanceMethod("done", &AttentionObject::done)});
  }

  explicit AttentionObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<AttentionObject>(info) {
    info.This().As<Napi::Object>().TypeTag(&kAttentionTag);
    EndpointObject* endpoint = EndpointObject::from(info[0]);
    if (endpoint == nullptr) return;
    core_ = endpoint->core();
    std::vector<size_t> peers(core_->config.ffn);
    for (size_t i = 0; i < peers.size(); ++i) peers[i] = i;
    side_ = std::make_unique<AttentionSide>(*core_->endpoint, core_->config, core_->rank, std::move(peers));
    completions_ = std::make_unique<Completions>(info.Env(), info[1].As<Napi::Function>());
    exit_ = std::make_unique<ExitGuard>(info.Env(), core_);
  }
  // Operations refer to this object.
  ~AttentionObject() override {
    if (core_) core_->endpoint->close();
  }

  static AttentionObject* from(Napi::Value value) {
    if (value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kAttentionTag))
      return Unwrap(value.As<Napi::Object>());
    Napi::TypeError::New(value.Env(), "not a Attention").ThrowAsJavaScriptException();
    return nullptr;
  }
  AttentionSide& side() { return *side_; }
  const Core& core() const { return *core_; }

 private:
  // A generation, or a negative Code.
  Napi::Value claim(const Napi::CallbackInfo& info) {
    uint64_t generation = 0;
    const Code code = side_->claim(generation);
    return Napi::Number::New(info.Env(),
                             code == Code::ok ? static_cast<double>(generation) : -static_cast<double>(code));
  }

  // publish(generation, rows, finalRows, tag, metaBytes, reroute)
  Napi::Value publish(const Napi::CallbackInfo& info) {
    const uint32_t meta_bytes = arg_u32(info, 4);
    if (meta_bytes > UINT16_MAX) return code(info, Code::invalid_argument);
    return code(info, side_->publish(generation(info, 0), arg_u32(info, 1), arg_u32(info, 2),
                                     arg_u32(info, 3), static_cast<uint16_t>(meta_bytes), arg_flag(info, 5)));
  }

  Napi::Value bad_token(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), side_->bad_token(generation(info, 0)));
  }
  Napi::Value abandon(const Napi::CallbackInfo& info) {
    return code(info, side_->abandon(generation(info, 0)));
  }

  // reweigh(generation, weights)
  Napi::Value reweigh(const Napi::CallbackInfo& info) {
    if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
      return code(info, Code::invalid_argument);
    const auto weights = info[1].As<Napi::Float32Array>();
    return code(info, side_->reweigh(generation(info, 0), weights.Data(), weights.ElementLength()));
  }

  // bias(generation, offset in the arena, another or -1)
  Napi::Value bias(const Napi::CallbackInfo& info) {
    const uint64_t g = generation(info, 0);
    if (!side_->holds(g)) return code(info, Code::state);
    const size_t size = size_t{side_->rows(g)} * core_->config.hidden * sizeof(uint16_t);
    const std::byte* first = in_heap(arg_f64(info, 1), size);
    const std::byte* second = in_heap(arg_f64(info, 2), size);
    if (first == nullptr) return code(info, Code::invalid_argument);
    return code(info, side_->bias(g, reinterpret_cast<const uint16_t*>(first),
                                  reinterpret_cast<const uint16_t*>(second)));
  }

  // Null where the heap has not so many bytes.
  std::byte* in_heap(double offset, size_t size) {
    Arena& arena = core_->endpoint->arena();
    const auto heap = static_cast<double>(core_->plan->heap_at(true));
    if (!(offset >= heap) || offset + static_cast<double>(size) > static_cast<double>(arena.size()))
      return nullptr;
    return arena.data() + static_cast<size_t>(offset);
  }

  // (generation, outOffset in the arena or -1 without output, outIsF32, onLoss, deadlineMs)
  Code aim(const Napi::CallbackInfo& info, Combine*& combine) {
    const uint64_t g = generation(info, 0);
    if (!side_->reopen(g)) return Code::state;
    const double offset = arg_f64(info, 1);
    const bool f32 = arg_flag(info, 2);
    void* out = nullptr;
    if (core_->config.combine != CombineKind::none) {
      out = in_heap(offset, size_t{side_->rows(g)} * core_->config.hidden * (f32 ? 4 : 2));
      if (out == nullptr) return Code::invalid_argument;
    }
    combine = &side_->combine(g);
    combine->aim(out, f32, static_cast<OnLoss>(arg_u32(info, 3)));
    combine->rearm(deadline_after_ms(arg_f64(info, 4)));
    return Code::ok;
  }

  // ... , cancelFlag?)
  Napi::Value combine_sync(const Napi::CallbackInfo& info) {
    Combine* combine = nullptr;
    Code outcome = aim(info, combine);
    if (outcome != Code::ok) return code(info, outcome);
    outcome = core_->endpoint->wait(*combine, cancel_flag(info, 5));
    side_->finish(generation(info, 0), outcome);
    return code(info, outcome);
  }

  // `again`: onCombined will be called, and then done(). Otherwise the combine has ended already.
  Napi::Value combine_start(const Napi::CallbackInfo& info) {
    Combine* combine = nullptr;
    Code outcome = aim(info, combine);
    if (outcome != Code::ok) return code(info, outcome);
    outcome = combine->step();  // polled first: a result that is there costs no hop between threads
    if (outcome != Code::again) {
      side_->finish(generation(info, 0), outcome);
      return code(info, outcome);
    }
    combine->on_end_context = this;
    combine->on_end = [](void* self, Operation& operation, Code ended) {
      auto& ended_combine = static_cast<Combine&>(operation);
      static_cast<AttentionObject*>(self)->completions_->post(ended_combine.generation(), ended,
                                                              operation.blamed);
    };
    return code(info, completions_->submit(*core_->endpoint, *combine));
  }

  void done(const Napi::CallbackInfo& info) {
    side_->finish(generation(info, 0), static_cast<Code>(arg_u32(info, 1)));
  }
  void combine_cancel(const Napi::CallbackInfo& info) {
    const uint64_t g = generation(info, 0);
    if (!side_->holds(g)) return;
    side_->combine(g).cancel();
    core_->endpoint->nudge();
  }
  Napi::Value blamed(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), side_->combine(generation(info, 0)).blamed);
  }
  // The ffn ranks whose replies are not complete: missing(generation) -> number[]
  Napi::Value missing(const Napi::CallbackInfo& info) {
    auto ranks = Napi::Array::New(info.Env());
    uint32_t n = 0;
    const Combine& combine = side_->combine(generation(info, 0));
    for (uint32_t r = 0; r < core_->config.ffn; ++r)
      if (!combine.complete(r)) ranks.Set(n++, Napi::Number::New(info.Env(), r));
    return ranks;
  }
  // How long each ffn rank was waited for, in us: waits(generation) -> Float64Array
  Napi::Value waits(const Napi::CallbackInfo& info) {
    const Combine& combine = side_->combine(generation(info, 0));
    const auto& us = combine.waits().us();
    auto out = Napi::Float64Array::New(info.Env(), us.size());
    if (combine.waited_for() == generation(info, 0))
      std::copy(us.begin(), us.end(), out.Data());
    else
      std::fill_n(out.Data(), us.size(), NAN);
    return out;
  }
  Napi::Value reply_rows(const Napi::CallbackInfo& info) {
    const uint32_t rank = arg_u32(info, 1);
    if (rank >= core_->config.ffn) return Napi::Number::New(info.Env(), 0);
    return Napi::Number::New(info.Env(), side_->combine(generation(info, 0)).reply_rows(rank));
  }

  std::shared_ptr<Core> core_;
  std::unique_ptr<Completions> completions_;
  std::unique_ptr<ExitGuard> exit_;
  std::unique_ptr<AttentionSide> side_;
};

}  // namespace weft::binding
