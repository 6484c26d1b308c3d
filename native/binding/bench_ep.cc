// The contenders of `weft bench ep`: called in the ranks' own processes, which JavaScript starts.
#include "bench/ep/exchange.h"
#include "bench/ep/floor.h"
#include "bench/ep/quantise.h"
#include "bench/ep/sockets.h"
#include "binding/attention.h"
#include "binding/bench.h"
#include "binding/ffn.h"

namespace weft::binding {

namespace {

bench::ep::Work read_work(const Napi::Object& js) {
  bench::ep::Work work;
  work.ranks = u32(js, "ranks");
  work.tokens = u32(js, "tokens");
  work.hidden = u32(js, "hidden");
  work.experts = u32(js, "experts");
  work.top_k = u32(js, "topK");
  work.fp8 = flag(js, "fp8");
  work.routing = static_cast<bench::ep::Routing>(u32(js, "routing"));
  work.depth = u32(js, "depth");
  return work;
}

size_t shared_bytes(const bench::ep::Work& work) {
  return bench::ep::Barrier::kBytes + bench::ep::floor_bytes(work);
}

// epBytes(work): of the memory that all ranks share
Napi::Value ep_bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(),
                           static_cast<double>(shared_bytes(read_work(info[0].As<Napi::Object>()))));
}

// ep({ work, contender, rank, base, fd, yields, sockets, attention, ffn }, dispatch samples, combine samples)
// -> [code, wrong, rows for other ranks, choices of their experts]
Napi::Value ep_run(const Napi::CallbackInfo& info) {
  const auto js = info[0].As<Napi::Object>();
  const auto work = read_work(js.Get("work").As<Napi::Object>());
  const std::string name = text(js, "contender");
  const uint32_t rank = u32(js, "rank");
  const bool yields = flag(js, "yields");
  auto memory = Mapping::of_file(static_cast<int>(u32(js, "fd")), shared_bytes(work), true);
  bench::ep::Outcome outcome;
  if (!memory) {
    outcome.code = memory.error().code;
  } else {
    std::unique_ptr<bench::ep::Contender> contender;
    if (name == "memory" || name == "streamed") {
      contender = bench::ep::memory_floor(work, (*memory)->data() + bench::ep::Barrier::kBytes, rank, yields,
                                          name == "streamed");
    } else if (name == "sockets") {
      const Sockets* sockets = js.Get("sockets").As<Napi::External<Sockets>>().Data();
      contender = bench::ep::socket_floor(work, sockets->peers, rank, yields);
    } else {
      AttentionObject* attention = AttentionObject::from(js.Get("attention"));
      FfnObject* ffn = FfnObject::from(js.Get("ffn"));
      if (attention == nullptr || ffn == nullptr || !ffn->expert()) return info.Env().Undefined();
      contender = bench::ep::exchange(work, attention->side(), *ffn->expert(), name == "native");
    }
    bench::ep::Barrier barrier((*memory)->data(), work.ranks, yields);
    outcome = bench::ep::run(work, rank, static_cast<uint64_t>(number(js, "base")), barrier, *contender,
                             samples_of(info[1]), samples_of(info[2]));
  }
  auto result = Napi::Array::New(info.Env());
  result.Set(0u, code(info, outcome.code));
  result.Set(1u, Napi::Number::New(info.Env(), static_cast<double>(outcome.wrong)));
  result.Set(2u, Napi::Number::New(info.Env(), static_cast<double>(outcome.rows_away)));
  result.Set(3u, Napi::Number::New(info.Env(), static_cast<double>(outcome.choices_away)));
  return result;
}

// quantise(rows, hidden, copy samples, quantise samples)
Napi::Value time_quantise(const Napi::CallbackInfo& info) {
  bench::ep::quantise_turns(arg_u32(info, 0), arg_u32(info, 1), samples_of(info[2]), samples_of(info[3]));
  return info.Env().Undefined();
}

}  // namespace

void add_bench_ep(Napi::Env env, Napi::Object bench) {
  bench.Set("epBytes", Napi::Function::New(env, ep_bytes));
  bench.Set("quantise", Napi::Function::New(env, time_quantise));
  bench.Set("ep", Napi::Function::New(env, ep_run));
}

}  // namespace weft::binding
