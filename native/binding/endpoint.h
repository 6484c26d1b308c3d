#pragma once

#include <napi.h>

#include <atomic>
#include <memory>

#include "exchange/arena_plan.h"
#include "transport/endpoint.h"

namespace weft::binding {

// Everything that JavaScript views and the sides of the exchange need to stay valid: held by shared_ptr.
struct Core {
  ExchangeConfig config;
  bool is_attention = true;
  uint32_t rank = 0;
  std::unique_ptr<ArenaPlan> plan;
  std::unique_ptr<Endpoint> endpoint;
};

// Closes the endpoint when the environment ends without close(): its service thread must not call into a dead
// one. Hooks run in reverse order, so each thread-safe function wants a guard made after it.
class ExitGuard {
 public:
  ExitGuard(Napi::Env env, std::shared_ptr<Core> core) : env_(env), core_(std::move(core)) {
    napi_add_env_cleanup_hook(env_, run, this);
  }
  ~ExitGuard() { napi_remove_env_cleanup_hook(env_, run, this); }
  ExitGuard(const ExitGuard&) = delete;

 private:
  static void run(void* self) { static_cast<ExitGuard*>(self)->core_->endpoint->close(); }

  napi_env env_;
  std::shared_ptr<Core> core_;
};

// While it lives, interrupt_all() interrupts its endpoint.
class Interruptible {
 public:
  explicit Interruptible(Endpoint& endpoint);
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;

 private:
  Endpoint& endpoint_;
};
void interrupt_all();

class EndpointObject : public Napi::ObjectWrap<EndpointObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // The endpoint behind a JavaScript value, or null (a JavaScript exception is pending then).
  static EndpointObject* from(Napi::Value value);

  explicit EndpointObject(const Napi::CallbackInfo& info);
  ~EndpointObject() override;
  const std::shared_ptr<Core>& core() const { return core_; }

 private:
  Napi::Value connect(const Napi::CallbackInfo& info);
  void abort_connect(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  Napi::Value arena(const Napi::CallbackInfo& info);
  Napi::Value memory_bytes(const Napi::CallbackInfo& info);
  Napi::Value heap_offset(const Napi::CallbackInfo& info);
  Napi::Value inbound(const Napi::CallbackInfo& info);
  Napi::Value layout(const Napi::CallbackInfo& info);
  Napi::Value peer_state(const Napi::CallbackInfo& info);
  Napi::Value reason(const Napi::CallbackInfo& info);
  Napi::Value path(const Napi::CallbackInfo& info);
  Napi::Value traffic(const Napi::CallbackInfo& info);
  void drop(const Napi::CallbackInfo& info);

  std::shared_ptr<Core> core_;
  std::unique_ptr<ExitGuard> exit_;
  std::unique_ptr<Interruptible> interruptible_;
  std::shared_ptr<std::atomic<bool>> abort_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace weft::binding
