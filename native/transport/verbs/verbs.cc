#include "transport/verbs/verbs.h"

#include <cstdlib>
#include <cstring>

#include "transport/verbs/verbs_link.h"

namespace weft {

namespace {

// Looks anew each time: ports come up, cables are pulled.
Expected<std::vector<verbs::Rail>> rails(const std::string& host) {
  const auto devices = verbs::list_devices();
  if (!devices) return std::unexpected(devices.error());
  return verbs::choose_rails(*devices, host, getenv("WEFT_VERBS_DEVICES"));
}

}  // namespace

std::string VerbsTransport::unavailable() const {
  const auto chosen = rails("");
  if (chosen) return "";
  const int error = chosen.error().system_error;
  return chosen.error().what + (error != 0 ? std::string(": ") + std::strerror(error) : "");
}

Expected<std::pair<Fd, std::string>> VerbsTransport::listen(const std::string& host,
                                                            const std::string& key) const {
  const auto chosen = rails(host);
  if (!chosen) return std::unexpected(chosen.error());
  auto listening = TcpTransport::listen(host, key);
  if (!listening) return listening;
  std::string text;
  for (const verbs::Rail& rail : *chosen)
    text +=
        (text.empty() ? "" : ",") + rail.device + ":" + std::to_string(rail.port) + ":" + rail.address.text;
  return std::pair{std::move(listening->first), listening->second + " " + text};
}

#if WEFT_HAVE_VERBS

Expected<std::unique_ptr<Engine>> VerbsTransport::engine(const Local& local, size_t links) const {
  auto chosen = rails(local.host);
  if (!chosen) return std::unexpected(chosen.error());
  return verbs::VerbsEngine::open(local, std::move(*chosen), links);
}

Expected<std::unique_ptr<Link>> VerbsTransport::link(const Local& local, Session session) const {
  return verbs::VerbsLink::create(local, std::move(session));
}

#else

Expected<std::unique_ptr<Engine>> VerbsTransport::engine(const Local&, size_t) const {
  return fail(Code::unavailable, unavailable());
}

Expected<std::unique_ptr<Link>> VerbsTransport::link(const Local&, Session) const {
  return fail(Code::unavailable, unavailable());
}

#endif

}  // namespace weft
