// From the service thread to JavaScript: an operation has ended.
#pragma once

#include <napi.h>

#include <memory>

#include "core/status.h"
#include "transport/endpoint.h"

namespace weft::binding {

// One thread-safe function for all operations of a side. It keeps the event loop alive only while operations
// are under way. The operations' owner must outlive them: Endpoint::close() ends them all first.
class Completions {
 public:
  Completions(Napi::Env env, Napi::Function callback)
      : gone_(std::make_shared<bool>(false)),
        function_(Napi::ThreadSafeFunction::New(env, callback, "tensorweft", 0, 1,
                                                [gone = gone_](Napi::Env) { *gone = true; })),
        env_(env) {
    function_.Unref(env);
  }
  // When the environment ends, it takes the function away before it finalizes us.
  ~Completions() {
    if (!*gone_) function_.Release();
  }
  Completions(const Completions&) = delete;

  // On the JavaScript thread: leaves an operation to the service thread. `again`: its on_end will post;
  // otherwise it was not taken.
  Code submit(Endpoint& endpoint, Operation& operation) {
    if (pending_++ == 0) function_.Ref(env_);
    if (endpoint.submit(operation)) return Code::again;
    withdraw();
    return endpoint.closed() ? Code::closed : Code::slot_busy;
  }
  // On any thread: calls callback(which, code, blamed).
  void post(uint64_t which, Code code, int32_t blamed) {
    function_.NonBlockingCall([this, which, code, blamed](Napi::Env env, Napi::Function callback) {
      withdraw();
      callback.Call({Napi::Number::New(env, static_cast<double>(which)),
                     Napi::Number::New(env, static_cast<int>(code)), Napi::Number::New(env, blamed)});
    });
  }

 private:
  void withdraw() {
    if (--pending_ == 0) function_.Unref(env_);
  }

  std::shared_ptr<bool> gone_;
  Napi::ThreadSafeFunction function_;
  Napi::Env env_;
  uint32_t pending_ = 0;
};

}  // namespace weft::binding
