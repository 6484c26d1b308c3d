#include "transport/ucx/ucx.h"

#include <algorithm>

#include "transport/socket.h"
#include "transport/ucx/ucx_link.h"

namespace weft {

#if WEFT_HAVE_UCX

namespace {
// Whose devices are of the host itself. tcp is what we can do without UCX.
bool is_fabric(const std::string& resource) {
  static constexpr std::string_view kLocal[] = {"self", "tcp",   "sysv", "posix", "cma",
                                                "knem", "xpmem", "cuda", "rocm",  "gdr"};
  return std::none_of(std::begin(kLocal), std::end(kLocal),
                      [&](std::string_view name) { return resource.starts_with(name); });
}
}  // namespace

std::string UcxTransport::unavailable() const {
  static const std::string why = [] {
    const auto worker = UcxWorker::create(1);
    return worker ? std::string() : worker.error().what;
  }();
  return why;
}

Expected<std::unique_ptr<Engine>> UcxTransport::engine(const Local& local, size_t links) const {
  auto engine = UcxEngine::create(local, links);
  if (!engine) return std::unexpected(engine.error());
  return std::move(*engine);
}

Expected<std::unique_ptr<Link>> UcxTransport::link(const Local& local, Session session) const {
  tune_tcp(session.socket.get());
  return UcxLink::create(local, std::move(session));
}

Expected<UcxOffer> ucx_offer() {
  const auto worker = UcxWorker::create(1);
  if (!worker) return std::unexpected(worker.error());
  UcxOffer offer{(*worker)->ucx().ucp_get_version_string(), (*worker)->resources(), false,
                 (*worker)->memory_kinds()};
  offer.fabric = std::any_of(offer.resources.begin(), offer.resources.end(), is_fabric);
  return offer;
}

#else

namespace {
constexpr const char* kNotBuilt = "built without UCX headers (libucx-dev)";
}

std::string UcxTransport::unavailable() const { return kNotBuilt; }
Expected<std::unique_ptr<Engine>> UcxTransport::engine(const Local&, size_t) const {
  return fail(Code::unavailable, kNotBuilt);
}
Expected<std::unique_ptr<Link>> UcxTransport::link(const Local&, Session) const {
  return fail(Code::unavailable, kNotBuilt);
}
Expected<UcxOffer> ucx_offer() { return fail(Code::unavailable, kNotBuilt); }

#endif

}  // namespace weft
