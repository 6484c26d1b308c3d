// What the receiving side of a symmetric exchange has beyond that of an ffn rank: places, and a reply to all.
#include "exchange/expert.h"

#include "binding/addon.h"
#include "binding/completions.h"
#include "binding/convert.h"
#include "binding/ffn.h"

namespace weft::binding {

namespace {

// new Expert(ffn, onBlocks(slot, code, blamedMember))
class ExpertObject : public Napi::ObjectWrap<ExpertObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Expert",
        {InstanceMethod("experts", &ExpertObject::experts), InstanceMethod("memory", &ExpertObject::memory),
         InstanceMethod("places", &ExpertObject::places), InstanceMethod("group", &ExpertObject::group),
         InstanceMethod("expand", &ExpertObject::expand), InstanceMethod("sentBy", &ExpertObject::sent_by),
         InstanceMethod("expandBlock", &ExpertObject::expand_block),
         InstanceMethod("blocksSync", &ExpertObject::blocks_sync),
         InstanceMethod("blocksStart", &ExpertObject::blocks_start),
         InstanceMethod("blocksCancel", &ExpertObject::blocks_cancel),
         InstanceMethod("blamed", &ExpertObject::blamed),
         InstanceMethod("waitsFor", &ExpertObject::waits_for),
         InstanceMethod("gather", &ExpertObject::gather), InstanceMethod("reduce", &ExpertObject::reduce),
         InstanceMethod("replyRows", &ExpertObject::reply_rows),
         InstanceMethod("reply", &ExpertObject::reply)});
  }

  explicit ExpertObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ExpertObject>(info) {
    info.This().As<Napi::Object>().TypeTag(&kExpertTag);
    FfnObject* ffn = FfnObject::from(info[0]);
    if (ffn == nullptr) return;
    side_ = ffn->expert();
    if (!side_) {
      Napi::TypeError::New(info.Env(), "not a symmetric exchange").ThrowAsJavaScriptException();
      return;
    }
    core_ = ffn->shared_core();
    completions_ = std::make_unique<Completions>(info.Env(), info[1].As<Napi::Function>());
    exit_ = std::make_unique<ExitGuard>(info.Env(), core_);
  }
  // Operations call this object.
  ~ExpertObject() override {
    if (core_) core_->endpoint->close();
  }

 private:
  static Napi::Value number(const Napi::CallbackInfo& info, double value) {
    return Napi::Number::New(info.Env(), value);
  }

  // The experts of this rank, ascending.
  Napi::Value experts(const Napi::CallbackInfo& info) {
    const auto& expert = side_->grouping(0).expert;
    auto ids = Napi::Int32Array::New(info.Env(), expert.size());
    std::copy(expert.begin(), expert.end(), ids.Data());
    return ids;
  }

  // memory(slot) -> ArrayBuffer[9]: count and begin by expert; begin and count by expert and source; source,
  // token, row and k by place; experts in the order in which their blocks became complete. Valid for rounds
  // of that slot while they are held.
  Napi::Value memory(const Napi::CallbackInfo& info) {
    auto& grouping = const_cast<Grouping&>(side_->grouping(arg_u32(info, 0)));
    auto out = Napi::Array::New(info.Env());
    uint32_t n = 0;
    auto& order = const_cast<std::vector<uint32_t>&>(side_->blocks(arg_u32(info, 0)).order());
    for (auto* array : {&grouping.count, &grouping.begin, &grouping.source_begin, &grouping.source_count,
                        &grouping.source, &grouping.token, &grouping.row, &grouping.k, &order})
      out.Set(n++, array->empty() ? Napi::ArrayBuffer::New(info.Env(), 0)
                                  : view(info.Env(), array->data(), array->size() * sizeof(uint32_t), side_));
    return out;
  }

  // Places that a round can need at most.
  Napi::Value places(const Napi::CallbackInfo& info) {
    return number(info, static_cast<double>(most_places(side_->config())));
  }

  // Of what was collected: places up to the last that is used, or a negative Code.
  Napi::Value group(const Napi::CallbackInfo& info) {
    uint64_t generation = 0;
    const Code code = side_->group(generation);
    if (code != Code::ok) return number(info, -static_cast<int>(code));
    return number(info, side_->grouping(generation).places);
  }
  // sentBy(generation, rank): whether its part is among what was grouped
  Napi::Value sent_by(const Napi::CallbackInfo& info) {
    const uint32_t rank = arg_u32(info, 1);
    return Napi::Boolean::New(info.Env(),
                              rank < side_->config().attention && side_->sent_by(generation(info, 0), rank));
  }

  // expand(generation, column, out, stride in bytes): `out` has a row for each place that is used.
  Napi::Value expand(const Napi::CallbackInfo& info) {
    const uint64_t g = generation(info, 0);
    const uint32_t column = arg_u32(info, 1), stride = arg_u32(info, 3);
    void* out = nullptr;
    const size_t room = bytes_of(info[2], out);
    if (!side_->holds(g)) return code(info, Code::state);
    const auto& widths = side_->rounds().subscriber(0).layout().shape().column_bytes;
    if (column >= widths.size() || stride < widths[column] ||
        uint64_t{side_->grouping(g).places} * stride > room)
      return code(info, Code::invalid_argument);
    if (!all_there(g, column)) return code(info, Code::again);
    side_->expand(g, column, static_cast<std::byte*>(out), stride);
    return code(info, Code::ok);
  }
  // expandBlock(generation, expert's number on this rank, column, out, stride): of a block that is ready
  Napi::Value expand_block(const Napi::CallbackInfo& info) {
    const uint64_t g = generation(info, 0);
    const uint32_t expert = arg_u32(info, 1), column = arg_u32(info, 2), stride = arg_u32(info, 4);
    void* out = nullptr;
    const size_t room = bytes_of(info[3], out);
    if (!side_->holds(g)) return code(info, Code::state);
    const auto& widths = side_->rounds().subscriber(0).layout().shape().column_bytes;
    if (column >= widths.size() || stride < widths[column] || expert >= side_->grouping(g).experts() ||
        uint64_t{side_->grouping(g).count[expert]} * stride > room)
      return code(info, Code::invalid_argument);
    side_->expand_block(g, expert, column, static_cast<std::byte*>(out), stride);
    return code(info, Code::ok);
  }
  // Whether all rows of a column are there.
  bool all_there(uint64_t g, uint32_t column) {
    return side_->rounds().subscriber(0).layout().leads(column) || side_->complete(g);
  }

  // (generation, ready blocks that the caller knows of, skipLost, deadlineMs)
  BlockArrival& aim(const Napi::CallbackInfo& info) {
    BlockArrival& arrival = side_->arrival(generation(info, 0));
    arrival.aim(generation(info, 0), arg_u32(info, 1), arg_flag(info, 2));
    arrival.rearm(deadline_after_ms(arg_f64(info, 3)));
    return arrival;
  }
  // ..., cancelFlag?)
  Napi::Value blocks_sync(const Napi::CallbackInfo& info) {
    if (!side_->holds(generation(info, 0))) return code(info, Code::state);
    return code(info, side_->endpoint().wait(aim(info), cancel_flag(info, 4)));
  }
  // `again`: the callback will be called with the slot.
  Napi::Value blocks_start(const Napi::CallbackInfo& info) {
    if (!side_->holds(generation(info, 0))) return code(info, Code::state);
    BlockArrival& arrival = aim(info);
    const Code outcome = arrival.step();
    if (outcome != Code::again) return code(info, outcome);
    arrival.on_end_context = this;
    arrival.on_end = [](void* self, Operation& operation, Code ended) {
      const uint32_t slot = static_cast<BlockArrival&>(operation).slot();
      static_cast<ExpertObject*>(self)->completions_->post(slot, ended, operation.blamed);
    };
    return code(info, completions_->submit(side_->endpoint(), arrival));
  }
  void blocks_cancel(const Napi::CallbackInfo& info) {
    side_->arrival(generation(info, 0)).cancel();
    side_->endpoint().nudge();
  }
  Napi::Value blamed(const Napi::CallbackInfo& info) {
    return number(info, side_->arrival(generation(info, 0)).blamed);
  }
  // waitsFor(generation, rank): rows of it were missing when the wait for blocks ended
  Napi::Value waits_for(const Napi::CallbackInfo& info) {
    const uint32_t rank = arg_u32(info, 1);
    return Napi::Boolean::New(
        info.Env(), rank < side_->config().attention && side_->waits_for(generation(info, 0), rank));
  }

  // gather(generation, column, out)
  Napi::Value gather(const Napi::CallbackInfo& info) {
    const uint64_t g = generation(info, 0);
    const uint32_t column = arg_u32(info, 1);
    void* out = nullptr;
    const size_t room = bytes_of(info[2], out);
    if (!side_->holds(g)) return code(info, Code::state);
    const auto& widths = side_->rounds().subscriber(0).layout().shape().column_bytes;
    if (column >= widths.size() || uint64_t{side_->taken(g)} * widths[column] > room)
      return code(info, Code::invalid_argument);
    if (!all_there(g, column)) return code(info, Code::again);
    side_->gather(g, column, static_cast<std::byte*>(out));
    return code(info, Code::ok);
  }

  // reduce(generation, outputs of experts: a bf16 row for each place that is used)
  Napi::Value reduce(const Napi::CallbackInfo& info) {
    const uint64_t g = generation(info, 0);
    void* outputs = nullptr;
    const size_t room = bytes_of(info[1], outputs);
    if (!side_->holds(g)) return code(info, Code::state);
    const auto& config = side_->config();
    if (config.combine != CombineKind::sum ||
        uint64_t{side_->grouping(g).places} * config.hidden * sizeof(uint16_t) > room)
      return code(info, Code::invalid_argument);
    side_->reduce(g, static_cast<const uint16_t*>(outputs));
    return code(info, Code::ok);
  }

  Napi::Value reply_rows(const Napi::CallbackInfo& info) {
    return number(info, side_->reply_rows(generation(info, 0)));
  }
  // reply(generation, finalRows)
  Napi::Value reply(const Napi::CallbackInfo& info) {
    return code(info, side_->reply(generation(info, 0), arg_u32(info, 1)));
  }

  std::shared_ptr<Core> core_;
  std::shared_ptr<ExpertSide> side_;
  std::unique_ptr<Completions> completions_;
  std::unique_ptr<ExitGuard> exit_;
};

}  // namespace

void init_expert(Napi::Env env, Napi::Object exports) { exports.Set("Expert", ExpertObject::define(env)); }

}  // namespace weft::binding
