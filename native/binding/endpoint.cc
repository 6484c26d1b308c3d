#include "binding/endpoint.h"

#include <mutex>
#include <set>
#include <thread>

#include "binding/addon.h"
#include "binding/convert.h"
#include "binding/listeners.h"

namespace weft::binding {

namespace {

ExchangeConfig read_config(const Napi::Object& js) {
  ExchangeConfig config;
  config.attention = u32(js, "attention");
  config.ffn = u32(js, "ffn");
  config.hidden = u32(js, "hidden");
  config.max_tokens = u32(js, "maxTokens");
  config.depth = u32(js, "depth");
  config.dispatch = static_cast<RowType>(u32(js, "rowType"));
  config.power_of_two_scales = flag(js, "powerOfTwoScales");
  config.routed = flag(js, "routed");
  config.symmetric = flag(js, "symmetric");
  config.combine = static_cast<CombineKind>(u32(js, "combine"));
  config.experts = u32(js, "experts");
  config.top_k = u32(js, "topK");
  config.meta_capacity = u32(js, "metaBytes");
  config.expert_alignment = u32(js, "expertAlignment");
  config.expert_rows = u32(js, "expertRows");
  const auto replicas = js.Get("replicas").As<Napi::Uint32Array>();
  const auto placement = js.Get("placement").As<Napi::Uint32Array>();
  for (size_t e = 0, at = 0; e < replicas.ElementLength() && at + replicas[e] <= placement.ElementLength();
       at += replicas[e++])
    config.placement.add({placement.Data() + at, replicas[e]});
  const auto extra = js.Get("extraColumns").As<Napi::Uint32Array>();
  config.extra_columns.assign(extra.Data(), extra.Data() + extra.ElementLength());
  return config;
}

WaitPolicy read_wait(const Napi::Object& js) {
  WaitPolicy wait;
  wait.mode = static_cast<WaitMode>(u32(js, "mode"));
  wait.pollers = u32(js, "pollers");
  wait.spin_ns = static_cast<int64_t>(number(js, "spinUs") * 1000);
  wait.yield_ns = static_cast<int64_t>(number(js, "yieldUs") * 1000);
  return wait;
}

// connect() blocks, so it runs on a thread of its own. Not on Node's pool, which has four: members of one
// process wait for each other here, and more of them than that would never be answered.
class Connect {
 public:
  static Napi::Promise start(Napi::Env env, std::shared_ptr<Core> core, std::vector<PeerSpec> peers,
                             double deadline_ms, std::shared_ptr<std::atomic<bool>> abort) {
    auto* self = new Connect(env, std::move(core), std::move(abort));
    const auto promise = self->promise_.Promise();
    const auto nothing = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
    self->done_ = Napi::ThreadSafeFunction::New(env, nothing, "tensorweft connect", 0, 1, [self](Napi::Env) {
      self->abort_->store(true);  // the environment may be ending under us
      self->thread_.join();
      delete self;
    });
    self->thread_ = std::thread([self, peers = std::move(peers),
                                 deadline = deadline_after_ms(deadline_ms)]() mutable {
      self->outcome_ = self->core_->endpoint->connect(std::move(peers), deadline, self->abort_.get());
      if (self->done_.BlockingCall([self](Napi::Env env, Napi::Function) { self->settle(env); }) == napi_ok)
        self->done_.Release();
    });
    return promise;
  }

 private:
  Connect(Napi::Env env, std::shared_ptr<Core> core, std::shared_ptr<std::atomic<bool>> abort)
      : promise_(Napi::Promise::Deferred::New(env)), core_(std::move(core)), abort_(std::move(abort)) {}

  void settle(Napi::Env env) {
    if (outcome_)
      promise_.Resolve(env.Undefined());
    else
      promise_.Reject(to_js(env, outcome_.error()).Value());
  }

  const Napi::Promise::Deferred promise_;
  std::shared_ptr<Core> core_;
  std::shared_ptr<std::atomic<bool>> abort_;
  Napi::ThreadSafeFunction done_;
  std::thread thread_;
  Expected<void> outcome_;
};

std::mutex open_endpoints_lock;
std::set<Endpoint*> open_endpoints;

}  // namespace

Interruptible::Interruptible(Endpoint& endpoint) : endpoint_(endpoint) {
  std::lock_guard hold(open_endpoints_lock);
  open_endpoints.insert(&endpoint_);
}

Interruptible::~Interruptible() {
  std::lock_guard hold(open_endpoints_lock);
  open_endpoints.erase(&endpoint_);
}

void interrupt_all() {
  std::lock_guard hold(open_endpoints_lock);
  for (Endpoint* endpoint : open_endpoints) endpoint->interrupt();
}

EndpointObject::EndpointObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EndpointObject>(info) {
  info.This().As<Napi::Object>().TypeTag(&kEndpointTag);
  const auto js = info[0].As<Napi::Object>();
  auto core = std::make_shared<Core>();
  core->config = read_config(js.Get("config").As<Napi::Object>());
  if (const Error wrong = core->config.check(); wrong.code != Code::ok) {
    to_js(info.Env(), wrong).ThrowAsJavaScriptException();
    return;
  }
  core->is_attention = flag(js, "isAttention");
  core->rank = u32(js, "rank");
  core->plan = std::make_unique<ArenaPlan>(core->config);
  EndpointOptions options;
  options.mesh_id = bytes<16>(js, "meshId");
  options.epoch = static_cast<uint64_t>(number(js, "epoch"));
  options.member = u32(js, "member");
  options.config_hash = bytes<32>(js, "configHash");
  options.host = text(js, "host");
  options.wait = read_wait(js.Get("wait").As<Napi::Object>());
  const size_t heap = core->plan->heap_at(core->is_attention);
  options.hot = core->plan->hot(core->is_attention);
  options.arena_bytes = heap + static_cast<size_t>(number(js, "heapBytes"));
  auto endpoint = Endpoint::create(options);
  if (!endpoint) {
    to_js(info.Env(), endpoint.error()).ThrowAsJavaScriptException();
    return;
  }
  core->endpoint = std::move(*endpoint);
  core_ = std::move(core);
  exit_ = std::make_unique<ExitGuard>(info.Env(), core_);
  interruptible_ = std::make_unique<Interruptible>(*core_->endpoint);
}

EndpointObject::~EndpointObject() {
  if (core_) core_->endpoint->close();
}

EndpointObject* EndpointObject::from(Napi::Value value) {
  if (value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kEndpointTag))
    return Unwrap(value.As<Napi::Object>());
  Napi::TypeError::New(value.Env(), "not an Endpoint").ThrowAsJavaScriptException();
  return nullptr;
}

// connect(listeners, peers: { member, rank, transport, address, dial, ourProof, theirProof }[] in order of
// rank, deadlineMs)
Napi::Value EndpointObject::connect(const Napi::CallbackInfo& info) {
  ListenersObject* listeners = ListenersObject::from(info[0]);
  if (listeners == nullptr) return info.Env().Undefined();
  for (auto& [transport, socket] : listeners->take()) core_->endpoint->adopt(*transport, std::move(socket));
  const auto list = info[1].As<Napi::Array>();
  std::vector<PeerSpec> peers;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const auto js = list.Get(i).As<Napi::Object>();
    PeerSpec spec;
    spec.member = u32(js, "member");
    spec.transport = text(js, "transport");
    spec.address = text(js, "address");
    spec.dial = flag(js, "dial");
    spec.our_proof = bytes<32>(js, "ourProof");
    spec.their_proof = bytes<32>(js, "theirProof");
    spec.inbound = core_->plan->inbound(core_->is_attention, core_->rank);
    peers.push_back(std::move(spec));
  }
  return Connect::start(info.Env(), core_, std::move(peers), arg_f64(info, 2), abort_);
}

void EndpointObject::abort_connect(const Napi::CallbackInfo&) { abort_->store(true); }

void EndpointObject::close(const Napi::CallbackInfo&) {
  abort_->store(true);
  core_->endpoint->close();
}

Napi::Value EndpointObject::arena(const Napi::CallbackInfo& info) {
  const auto& mapping = core_->endpoint->arena().mapping();
  return view(info.Env(), mapping->data(), mapping->size(), mapping);
}

Napi::Value EndpointObject::heap_offset(const Napi::CallbackInfo& info) {
  const size_t heap = core_->plan->heap_at(core_->is_attention);
  return Napi::Number::New(info.Env(), static_cast<double>(heap));
}

// inbound(peer): what we read of the peer, beginning at the publication.
Napi::Value EndpointObject::inbound(const Napi::CallbackInfo& info) {
  Endpoint& endpoint = *core_->endpoint;
  const size_t peer = arg_u32(info, 0);
  if (peer >= endpoint.peers()) return info.Env().Undefined();
  const bool replies = core_->is_attention && !core_->config.symmetric;
  const auto& layout = replies ? core_->plan->reply() : core_->plan->dispatch();
  auto* data = const_cast<std::byte*>(endpoint.link(peer).inbound(0));
  return view(info.Env(), data, layout.bytes(), endpoint.link(peer).inbound_memory());
}

// layout(): byte offsets, so that TypeScript need not know how they come about.
Napi::Value EndpointObject::layout(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto describe = [&](const wire::PublicationLayout& layout) {
    const auto& shape = layout.shape();
    auto meta = Napi::Array::New(env), columns = Napi::Array::New(env);
    for (uint32_t slot = 0; slot < shape.depth; ++slot) {
      meta.Set(slot, Napi::Number::New(env, static_cast<double>(layout.meta(slot))));
      auto of_slot = Napi::Array::New(env);
      for (uint32_t c = 0; c < shape.column_bytes.size(); ++c)
        of_slot.Set(c, Napi::Number::New(env, static_cast<double>(layout.column(slot, c))));
      columns.Set(slot, of_slot);
    }
    auto js = Napi::Object::New(env);
    js.Set("bytes", Napi::Number::New(env, static_cast<double>(layout.bytes())));
    js.Set("maxRows", Napi::Number::New(env, shape.max_rows));
    js.Set("meta", meta);
    js.Set("columns", columns);
    return js;
  };
  auto js = Napi::Object::New(env);
  js.Set("header", Napi::Number::New(env, static_cast<double>(kArenaHeaderBytes)));
  js.Set("replies", Napi::Number::New(env, static_cast<double>(core_->plan->reply_at(0))));
  js.Set("dispatch", describe(core_->plan->dispatch()));
  js.Set("reply", describe(core_->plan->reply()));
  return js;
}

Napi::Value EndpointObject::peer_state(const Napi::CallbackInfo& info) {
  const size_t peer = arg_u32(info, 0);
  return code(info,
              peer < core_->endpoint->peers() ? core_->endpoint->peer_state(peer) : Code::invalid_argument);
}

// reason(peer): why it is not up, where more is known than its state.
Napi::Value EndpointObject::reason(const Napi::CallbackInfo& info) {
  const size_t peer = arg_u32(info, 0);
  const Endpoint& endpoint = *core_->endpoint;
  const char* text = peer < endpoint.peers() ? endpoint.link(peer).reason() : nullptr;
  return text == nullptr ? info.Env().Undefined() : Napi::String::New(info.Env(), text);
}

Napi::Value EndpointObject::path(const Napi::CallbackInfo& info) {
  const size_t peer = arg_u32(info, 0);
  const Endpoint& endpoint = *core_->endpoint;
  return Napi::String::New(info.Env(), peer < endpoint.peers() ? endpoint.link(peer).describe() : "");
}

// traffic(peer) -> [messages, requests, bytes, arrivals]
Napi::Value EndpointObject::traffic(const Napi::CallbackInfo& info) {
  const size_t peer = arg_u32(info, 0);
  const Endpoint& endpoint = *core_->endpoint;
  const Traffic of = peer < endpoint.peers() ? endpoint.link(peer).traffic() : Traffic{};
  auto counts = Napi::Array::New(info.Env());
  uint32_t i = 0;
  for (const uint64_t count : {of.messages, of.requests, of.bytes, of.arrivals})
    counts.Set(i++, Napi::Number::New(info.Env(), static_cast<double>(count)));
  return counts;
}

Napi::Value EndpointObject::memory_bytes(const Napi::CallbackInfo& info) {
  Endpoint& endpoint = *core_->endpoint;
  size_t bytes = endpoint.arena().mapping()->resident();
  for (size_t peer = 0; peer < endpoint.peers(); ++peer)
    if (endpoint.link(peer).packs_rows()) bytes += endpoint.link(peer).inbound_memory()->resident();
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

void EndpointObject::drop(const Napi::CallbackInfo& info) {
  const size_t peer = arg_u32(info, 0);
  if (peer < core_->endpoint->peers()) core_->endpoint->drop(peer);
}

Napi::Function EndpointObject::define(Napi::Env env) {
  return DefineClass(
      env, "Endpoint",
      {InstanceMethod("connect", &EndpointObject::connect),
       InstanceMethod("abortConnect", &EndpointObject::abort_connect),
       InstanceMethod("close", &EndpointObject::close), InstanceMethod("arena", &EndpointObject::arena),
       InstanceMethod("heapOffset", &EndpointObject::heap_offset),
       InstanceMethod("inbound", &EndpointObject::inbound), InstanceMethod("layout", &EndpointObject::layout),
       InstanceMethod("memoryBytes", &EndpointObject::memory_bytes),
       InstanceMethod("peerState", &EndpointObject::peer_state),
       InstanceMethod("reason", &EndpointObject::reason), InstanceMethod("path", &EndpointObject::path),
       InstanceMethod("traffic", &EndpointObject::traffic), InstanceMethod("drop", &EndpointObject::drop)});
}

void init_endpoint(Napi::Env env, Napi::Object exports) {
  exports.Set("Endpoint", EndpointObject::define(env));
  exports.Set("interruptAll", Napi::Function::New(env, [](const Napi::CallbackInfo&) { interrupt_all(); }));
}

}  // namespace weft::binding
