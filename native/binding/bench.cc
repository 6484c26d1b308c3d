// The benchmark contenders, for `weft bench`: called in the ranks' own processes, which JavaScript starts.
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/floor.h"
#include "bench/rounds.h"
#include "bench/sockets.h"
#include "bench/stream.h"
#include "binding/attention.h"
#include "binding/bench.h"
#include "binding/ffn.h"

namespace weft::binding {

namespace {

bench::Workload read_work(const Napi::Value& value) {
  const auto js = value.As<Napi::Object>();
  bench::Workload work;
  work.attention = u32(js, "attention");
  work.ffn = u32(js, "ffn");
  work.tokens = u32(js, "tokens");
  work.hidden = u32(js, "hidden");
  work.fp8 = flag(js, "fp8");
  work.opaque = flag(js, "opaque");
  work.depth = u32(js, "depth");
  work.blocks = u32(js, "blocks");
  return work;
}

template <class T>
T* data_of(const Napi::Value& value) {
  void* data = nullptr;
  bytes_of(value, data);
  return static_cast<T*>(data);
}

constexpr size_t kMostPopulated = size_t{512} << 20;

// shared(bytes) -> a file descriptor of that much zeroed memory, for children to inherit; on huge pages where
// there are some, as the slots of the library are
Napi::Value shared(const Napi::CallbackInfo& info) {
  const auto bytes = align_up(static_cast<size_t>(arg_f64(info, 0)), kHugePage);
  const int fd = memfd_create("tensorweft-bench", 0);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) return Napi::Number::New(info.Env(), -1);
  if (auto memory = Mapping::of_file(fd, bytes, true))
    (*memory)->back_with_huge_pages(0, bytes <= kMostPopulated ? bytes : 0);
  return Napi::Number::New(info.Env(), fd);
}
Napi::Value floor_bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(bench::floor_bytes(read_work(info[0]))));
}

// pin(i) -> done: the calling thread, to the i-th core that it may run on
Napi::Value pin(const Napi::CallbackInfo& info) {
  cpu_set_t usable, one;
  CPU_ZERO(&one);
  if (sched_getaffinity(0, sizeof usable, &usable) != 0) return Napi::Boolean::New(info.Env(), false);
  uint32_t left = arg_u32(info, 0);
  for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core)
    if (CPU_ISSET(core, &usable) && left-- == 0) CPU_SET(core, &one);
  return Napi::Boolean::New(info.Env(), sched_setaffinity(0, sizeof one, &one) == 0);
}

// floor(work, fd, isAttention, rank, base, samples | rounds, yield) -> wrong bytes
Napi::Value floor(const Napi::CallbackInfo& info) {
  const auto work = read_work(info[0]);
  auto memory = Mapping::of_file(static_cast<int>(arg_u32(info, 1)), bench::floor_bytes(work), true);
  if (!memory) return Napi::Number::New(info.Env(), -1);
  const uint32_t rank = arg_u32(info, 3);
  const uint64_t base = generation(info, 4);
  const bool yield = arg_flag(info, 6);
  uint64_t wrong = 0;
  if (arg_flag(info, 2))
    wrong = bench::floor_attention(work, (*memory)->data(), rank, base, samples_of(info[5]), yield);
  else
    bench::floor_ffn(work, (*memory)->data(), rank, base, generation(info, 5), yield);
  return Napi::Number::New(info.Env(), static_cast<double>(wrong));
}

// listen() -> [handle, port]; connect(handle | undefined, ports) -> handle; accept(handle, count). Peers come
// behind those that a handle has.
Napi::Value socket_listen(const Napi::CallbackInfo& info) {
  auto listening = bench::socket_listen();
  if (!listening) return info.Env().Undefined();
  auto* sockets = new Sockets{std::move(listening->first), {}};
  auto out = Napi::Array::New(info.Env());
  out.Set(0u, Napi::External<Sockets>::New(info.Env(), sockets, [](Napi::Env, Sockets* s) { delete s; }));
  out.Set(1u, Napi::Number::New(info.Env(), listening->second));
  return out;
}
Napi::Value socket_connect(const Napi::CallbackInfo& info) {
  const auto list = info[1].As<Napi::Array>();
  std::vector<uint16_t> ports;
  for (uint32_t i = 0; i < list.Length(); ++i)
    ports.push_back(static_cast<uint16_t>(list.Get(i).ToNumber().Uint32Value()));
  auto peers = bench::socket_connect(ports);
  if (!peers) return info.Env().Undefined();
  if (info[0].IsExternal()) {
    auto& known = info[0].As<Napi::External<Sockets>>().Data()->peers;
    std::move(peers->begin(), peers->end(), std::back_inserter(known));
    return info[0];
  }
  auto* sockets = new Sockets{Fd(), std::move(*peers)};
  return Napi::External<Sockets>::New(info.Env(), sockets, [](Napi::Env, Sockets* s) { delete s; });
}
Napi::Value socket_accept(const Napi::CallbackInfo& info) {
  Sockets* sockets = info[0].As<Napi::External<Sockets>>().Data();
  auto peers = bench::socket_accept(sockets->listener, arg_u32(info, 1));
  if (peers) std::move(peers->begin(), peers->end(), std::back_inserter(sockets->peers));
  return Napi::Boolean::New(info.Env(), peers.has_value());
}

// sockets(work, handle, isAttention, rank, base, samples | rounds, spin) -> wrong bytes
Napi::Value sockets(const Napi::CallbackInfo& info) {
  const auto work = read_work(info[0]);
  const Sockets* handle = info[1].As<Napi::External<Sockets>>().Data();
  const bool spin = arg_flag(info, 6);
  uint64_t wrong = 0;
  if (arg_flag(info, 2))
    wrong = bench::socket_attention(work, handle->peers, arg_u32(info, 3), generation(info, 4),
                                    samples_of(info[5]), spin);
  else
    bench::socket_ffn(work, handle->peers, generation(info, 5), spin);
  return Napi::Number::New(info.Env(), static_cast<double>(wrong));
}

// attention(work, side, samples, outOffset) -> [code, wrong]; ffn(work, side, rounds) -> code
Napi::Value attention(const Napi::CallbackInfo& info) {
  AttentionObject* object = AttentionObject::from(info[1]);
  if (object == nullptr) return info.Env().Undefined();
  uint64_t wrong = 0;
  const auto& core = object->core();
  std::byte* out = core.endpoint->arena().data() + static_cast<size_t>(arg_f64(info, 3));
  const Code outcome = bench::exchange_attention(read_work(info[0]), object->side(), core.rank, out,
                                                 samples_of(info[2]), wrong);
  auto result = Napi::Array::New(info.Env());
  result.Set(0u, code(info, outcome));
  result.Set(1u, Napi::Number::New(info.Env(), static_cast<double>(wrong)));
  return result;
}
Napi::Value ffn(const Napi::CallbackInfo& info) {
  FfnObject* object = FfnObject::from(info[1]);
  if (object == nullptr) return info.Env().Undefined();
  return code(info, bench::exchange_ffn(read_work(info[0]), object->side(), generation(info, 2)));
}

// streamAttention(work, side, samples) -> code; streamFfn(work, side, rounds) -> [code, wrong]
Napi::Value stream_attention(const Napi::CallbackInfo& info) {
  AttentionObject* object = AttentionObject::from(info[1]);
  if (object == nullptr) return info.Env().Undefined();
  return code(info, bench::stream_attention(read_work(info[0]), object->side(), object->core().rank,
                                            samples_of(info[2])));
}
Napi::Value stream_ffn(const Napi::CallbackInfo& info) {
  FfnObject* object = FfnObject::from(info[1]);
  if (object == nullptr) return info.Env().Undefined();
  uint64_t wrong = 0;
  const Code outcome = bench::stream_ffn(read_work(info[0]), object->side(), generation(info, 2), wrong);
  auto result = Napi::Array::New(info.Env());
  result.Set(0u, code(info, outcome));
  result.Set(1u, Napi::Number::New(info.Env(), static_cast<double>(wrong)));
  return result;
}

// The pieces of a round, for the contenders that run in JavaScript. What they do is the workload of
// use(work), so that a call costs no more than its arguments.
thread_local bench::Workload t_work;

Napi::Value use(const Napi::CallbackInfo& info) {
  t_work = read_work(info[0]);
  return info.Env().Undefined();
}
// fill(attention, generation, payload, scales)
Napi::Value fill(const Napi::CallbackInfo& info) {
  bench::fill(t_work, bench::seed_of(arg_u32(info, 0), generation(info, 1)), data_of<std::byte>(info[2]),
              data_of<float>(info[3]));
  return info.Env().Undefined();
}
// consume(payload, scales, output)
Napi::Value consume(const Napi::CallbackInfo& info) {
  bench::consume(t_work, data_of<std::byte>(info[0]), data_of<float>(info[1]), 0, t_work.tokens,
                 data_of<std::byte>(info[2]));
  return info.Env().Undefined();
}
// countWrong(payload, scales, result)
Napi::Value count_wrong(const Napi::CallbackInfo& info) {
  static thread_local std::vector<std::byte> scratch;
  return Napi::Number::New(info.Env(), static_cast<double>(bench::count_wrong(
                                           t_work, data_of<std::byte>(info[0]), data_of<float>(info[1]),
                                           data_of<std::byte>(info[2]), scratch)));
}

}  // namespace

void init_bench(Napi::Env env, Napi::Object exports) {
  auto out = Napi::Object::New(env);
  const auto add = [&](const char* name, auto function) {
    out.Set(name, Napi::Function::New(env, function));
  };
  add("shared", shared);
  add("floorBytes", floor_bytes);
  add("pin", pin);
  add("floor", floor);
  add("listen", socket_listen);
  add("connect", socket_connect);
  add("accept", socket_accept);
  add("sockets", sockets);
  add("attention", attention);
  add("ffn", ffn);
  add("streamAttention", stream_attention);
  add("streamFfn", stream_ffn);
  add("use", use);
  add("fill", fill);
  add("consume", consume);
  add("countWrong", count_wrong);
  add_bench_ep(env, out);
  exports.Set("bench", out);
}

}  // namespace weft::binding
