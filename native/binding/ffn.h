#pragma once

#include "exchange/expert.h"

#include "binding/addon.h"
#include "binding/completions.h"
#include "binding/convert.h"
#include "binding/endpoint.h"

namespace weft::binding {

// new Ffn(endpoint, onCollected(0, code, blamedMember))
class FfnObject : public Napi::ObjectWrap<FfnObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Ffn",
        {InstanceMethod("partMemory", &FfnObject::part_memory), InstanceMethod("report", &FfnObject::report),
         InstanceMethod("collectSync", &FfnObject::collect_sync),
         InstanceMethod("collectStart", &FfnObject::collect_start),
         InstanceMethod("collectCancel", &FfnObject::collect_cancel),
         InstanceMethod("collectDone", &FfnObject::collect_done),
         InstanceMethod("blamed", &FfnObject::blamed), InstanceMethod("waitsFor", &FfnObject::waits_for),
         InstanceMethod("available", &FfnObject::available),
         InstanceMethod("arrivalSync", &FfnObject::arrival_sync),
         InstanceMethod("arrivalStart", &FfnObject::arrival_start),
         InstanceMethod("arrivalCancel", &FfnObject::arrival_cancel),
         InstanceMethod("select", &FfnObject::select), InstanceMethod("reply", &FfnObject::reply)});
  }

  explicit FfnObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FfnObject>(info) {
    info.This().As<Napi::Object>().TypeTag(&kFfnTag);
    EndpointObject* endpoint = EndpointObject::from(info[0]);
    if (endpoint == nullptr) return;
    core_ = endpoint->core();
    std::vector<size_t> peers(core_->config.attention);
    for (size_t i = 0; i < peers.size(); ++i) peers[i] = i;
    if (core_->config.symmetric) {
      expert_ = std::make_shared<ExpertSide>(*core_->endpoint, core_->config, core_->rank, std::move(peers));
      side_ = {expert_, &expert_->rounds()};
    } else {
      side_ = std::make_shared<FfnSide>(*core_->endpoint, core_->config, core_->rank, std::move(peers));
    }
    completions_ = std::make_unique<Completions>(info.Env(), info[1].As<Napi::Function>());
    exit_ = std::make_unique<ExitGuard>(info.Env(), core_);
    report_ = std::make_shared<std::vector<double>>(1 + kReportWords * core_->config.attention);
  }
  ~FfnObject() override {
    if (core_) core_->endpoint->close();
  }

  static FfnObject* from(Napi::Value value) {
    if (value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kFfnTag))
      return Unwrap(value.As<Napi::Object>());
    Napi::TypeError::New(value.Env(), "not a Ffn").ThrowAsJavaScriptException();
    return nullptr;
  }
  FfnSide& side() { return *side_; }
  const Core& core() const { return *core_; }
  const std::shared_ptr<Core>& shared_core() const { return core_; }
  // Of a symmetric exchange; otherwise null.
  const std::shared_ptr<ExpertSide>& expert() const { return expert_; }

 private:
  // Words of the report per part: rank, generation, rows, taken, tag, metaBytes, selections (-1: not made
  // yet), how long it was waited for in us.
  static constexpr size_t kReportWords = 8;

  // The index arrays of a part, valid while it is open: partMemory(attention, slot) -> ArrayBuffer[5]
  // (tokenOf, rowOf, selection rows, experts, ks).
  Napi::Value part_memory(const Napi::CallbackInfo& info) {
    Part& part = side_->part(arg_u32(info, 0), arg_u32(info, 1));
    auto out = Napi::Array::New(info.Env());
    uint32_t n = 0;
    const auto add = [&](auto& array) {
      out.Set(n++, array.empty() ? Napi::ArrayBuffer::New(info.Env(), 0)
                                 : view(info.Env(), array.data(), array.size() * sizeof array[0], side_));
    };
    add(part.token_of);
    add(part.row_of);
    add(part.selections.row);
    add(part.selections.expert);
    add(part.selections.k);
    return out;
  }

  // The memory that a successful collect describes its parts in: [count, then kReportWords for each].
  Napi::Value report(const Napi::CallbackInfo& info) {
    return view(info.Env(), report_->data(), report_->size() * sizeof(double), report_);
  }

  void write_report() {
    double* word = report_->data();
    *word++ = static_cast<double>(side_->collect().ranks().size());
    for (const uint32_t rank : side_->collect().ranks()) {
      const uint64_t g = side_->collected(rank);
      const Part& part = side_->part(rank, g);
      *word++ = rank;
      *word++ = static_cast<double>(g);
      *word++ = part.view.rows;
      *word++ = part.view.taken;
      *word++ = part.view.tag;
      *word++ = part.view.meta_bytes;
      *word++ = part.selected ? static_cast<double>(part.selections.count) : -1;
      *word++ = side_->collect().waits().us()[rank];
    }
  }

  // (gather + 4 streamed + 8 skipLost, count, withinMs, deadlineMs)
  Collect& aim(const Napi::CallbackInfo& info) {
    Collect& collect = side_->collect();
    const uint32_t how = arg_u32(info, 0);
    collect.aim(static_cast<Gather>(how & 3), arg_u32(info, 1), static_cast<int64_t>(arg_f64(info, 2) * 1e6),
                (how & 4) != 0, (how & 8) != 0);
    collect.rearm(deadline_after_ms(arg_f64(info, 3)));
    return collect;
  }

  // ..., cancelFlag?)
  Napi::Value collect_sync(const Napi::CallbackInfo& info) {
    if (collecting_) return code(info, Code::state);
    const Code outcome = core_->endpoint->wait(aim(info), cancel_flag(info, 4));
    if (outcome == Code::ok) write_report();
    return code(info, outcome);
  }

  Napi::Value collect_start(const Napi::CallbackInfo& info) {
    if (collecting_) return code(info, Code::state);
    Collect& collect = aim(info);
    const Code outcome = collect.step();
    if (outcome == Code::ok) write_report();
    if (outcome != Code::again) return code(info, outcome);
    collect.on_end_context = this;
    collect.on_end = [](void* self, Operation& operation, Code ended) {
      static_cast<FfnObject*>(self)->completions_->post(0, ended, operation.blamed);
    };
    const Code submitted = completions_->submit(*core_->endpoint, collect);
    collecting_ = submitted == Code::again;
    return code(info, submitted);
  }
  // In onCollected: collectDone(code)
  void collect_done(const Napi::CallbackInfo& info) {
    collecting_ = false;
    if (static_cast<Code>(arg_u32(info, 0)) == Code::ok) write_report();
  }
  void collect_cancel(const Napi::CallbackInfo&) {
    side_->collect().cancel();
    core_->endpoint->nudge();
  }
  Napi::Value blamed(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), side_->collect().blamed);
  }

  Napi::Value waits_for(const Napi::CallbackInfo& info) {
    const uint32_t attention = arg_u32(info, 0);
    return Napi::Boolean::New(info.Env(),
                              attention < core_->config.attention && side_->collect().waits_for(attention));
  }

  bool open(const Napi::CallbackInfo& info) {
    if (arg_u32(info, 0) >= core_->config.attention) return false;
    const Part& part = side_->part(arg_u32(info, 0), generation(info, 1));
    return part.open.load(std::memory_order_acquire) && part.view.generation == generation(info, 1);
  }
  Napi::Value available(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(),
                             open(info) ? side_->available(arg_u32(info, 0), generation(info, 1)) : 0);
  }
  // (attention, generation, rows, deadlineMs)
  Arrival& aim_arrival(const Napi::CallbackInfo& info) {
    Arrival& arrival = side_->arrival(arg_u32(info, 0), generation(info, 1));
    arrival.aim(generation(info, 1), arg_u32(info, 2));
    arrival.rearm(deadline_after_ms(arg_f64(info, 3)));
    return arrival;
  }
  // ..., cancelFlag?)
  Napi::Value arrival_sync(const Napi::CallbackInfo& info) {
    if (!open(info)) return code(info, Code::state);
    return code(info, core_->endpoint->wait(aim_arrival(info), cancel_flag(info, 4)));
  }
  // `again`: the callback will be called with 1 + attention * depth + slot.
  Napi::Value arrival_start(const Napi::CallbackInfo& info) {
    if (!open(info)) return code(info, Code::state);
    Arrival& arrival = aim_arrival(info);
    const Code outcome = arrival.step();
    if (outcome != Code::again) return code(info, outcome);
    arrival.on_end_context = this;
    arrival.on_end = [](void* self, Operation& operation, Code ended) {
      auto* object = static_cast<FfnObject*>(self);
      const auto& arrived = static_cast<Arrival&>(operation);
      const uint64_t which = 1 + uint64_t{arrived.attention()} * object->core_->config.depth + arrived.slot();
      object->completions_->post(which, ended, operation.blamed);
    };
    return code(info, completions_->submit(*core_->endpoint, arrival));
  }
  void arrival_cancel(const Napi::CallbackInfo& info) {
    if (!open(info)) return;
    side_->arrival(arg_u32(info, 0), generation(info, 1)).cancel();
    core_->endpoint->nudge();
  }
  // The number of selections, or a negative Code.
  Napi::Value select(const Napi::CallbackInfo& info) {
    const Code code = open(info) ? side_->select(arg_u32(info, 0), generation(info, 1)) : Code::state;
    if (code != Code::ok) return Napi::Number::New(info.Env(), -static_cast<int>(code));
    return Napi::Number::New(info.Env(), side_->part(arg_u32(info, 0), generation(info, 1)).selections.count);
  }
  // reply(attention, generation, rows, finalRows)
  Napi::Value reply(const Napi::CallbackInfo& info) {
    if (!open(info)) return code(info, core_->endpoint->closed() ? Code::closed : Code::state);
    return code(info,
                side_->reply(arg_u32(info, 0), generation(info, 1), arg_u32(info, 2), arg_u32(info, 3)));
  }

  std::shared_ptr<Core> core_;
  std::unique_ptr<Completions> completions_;
  std::unique_ptr<ExitGuard> exit_;
  std::shared_ptr<ExpertSide> expert_;
  std::shared_ptr<FfnSide> side_;
  std::shared_ptr<std::vector<double>> report_;
  bool collecting_ = false;
};

}  // namespace weft::binding
