// An operation left to the service thread, as an asynchronous caller does it.
#pragma once

#include <chrono>
#include <semaphore>

#include "transport/endpoint.h"

namespace weft::test {

class Later : public Operation {
 public:
  explicit Later(Operation& inner) : inner_(inner) {
    rearm(inner.deadline());
    on_end_context = this;
    on_end = [](void* self, Operation&, Code code) { static_cast<Later*>(self)->end(code); };
  }

  Code step() override { return inner_.step(); }
  bool moved() override { return inner_.moved(); }
  int64_t wake_ns() const override { return inner_.wake_ns(); }

  // `again`: it did not end within the time.
  Code outcome(int within_ms = 30'000) {
    if (!ended_.try_acquire_for(std::chrono::milliseconds(within_ms))) return Code::again;
    return code_;
  }
  int endings() const { return endings_; }

 private:
  void end(Code code) {
    code_ = code;
    ++endings_;
    ended_.release();
  }

  Operation& inner_;
  Code code_ = Code::again;
  std::atomic<int> endings_{0};
  std::counting_semaphore<> ended_{0};
};

// Waits on the calling thread, or by way of the service thread.
inline Code wait_for(Endpoint& endpoint, Operation& operation, bool in_service) {
  if (!in_service) return endpoint.wait(operation);
  Later later(operation);
  if (!endpoint.submit(later)) return Code::unavailable;
  return later.outcome();
}

}  // namespace weft::test
