#pragma once

#include <napi.h>

#include <utility>
#include <vector>

#include "transport/transport.h"

namespace weft::binding {

// Sockets that listen for peers. They come before the endpoint, because a member announces its addresses when
// it joins, and learns who it is from the answer.
class ListenersObject : public Napi::ObjectWrap<ListenersObject> {
 public:
  static Napi::Function define(Napi::Env env);
  static ListenersObject* from(Napi::Value value);

  explicit ListenersObject(const Napi::CallbackInfo& info);
  std::vector<std::pair<const Transport*, Fd>> take() { return std::exchange(listeners_, {}); }

 private:
  Napi::Value listen(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info) { (void)info, listeners_.clear(); }

  std::vector<std::pair<const Transport*, Fd>> listeners_;
};

}  // namespace weft::binding
