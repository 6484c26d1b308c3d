#include "transport/shm/shm.h"

#include <sys/un.h>

#include <cstring>

#include "memory/fd_passing.h"
#include "transport/shm/shm_link.h"
#include "transport/socket.h"

namespace weft {

namespace {

std::pair<sockaddr_un, socklen_t> abstract_address(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::min(name.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path + 1, name.data(), length);  // the leading NUL makes it abstract
  return {address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length)};
}

}  // namespace

std::string ShmTransport::unavailable() const {
  auto arena = Arena::create(4096, 0, 0);
  return arena ? "" : arena.error().what + ": " + std::strerror(arena.error().system_error);
}

Expected<std::pair<Fd, std::string>> ShmTransport::listen(const std::string&, const std::string& key) const {
  const std::string name = "tensorweft-" + key;
  const auto [address, size] = abstract_address(name);
  auto socket = listen_on(reinterpret_cast<const sockaddr*>(&address), size);
  if (!socket) return std::unexpected(socket.error());
  return std::pair{std::move(*socket), name};
}

Expected<Fd> ShmTransport::dial(const std::string& name, int64_t deadline) const {
  const auto [address, size] = abstract_address(name);
  return dial_until(reinterpret_cast<const sockaddr*>(&address), size, deadline);
}

Expected<void> ShmTransport::check_peer(int socket) const {
  const auto peer = peer_credentials(socket);
  if (!peer) return std::unexpected(peer.error());
  if (peer->uid != geteuid())
    return fail(Code::auth, "the peer runs as user " + std::to_string(peer->uid) + ", this process as user " +
                                std::to_string(geteuid()) + "; shared memory needs the same user");
  return {};
}

Expected<std::unique_ptr<Engine>> ShmTransport::engine(const Local&, size_t) const {
  return std::make_unique<ShmEngine>();
}

std::vector<int> ShmTransport::descriptors(const Local& local) const {
  return {local.arena->shared_fd(), local.doorbell->fd(Bay::caller), local.doorbell->fd(Bay::service)};
}

Expected<std::unique_ptr<Link>> ShmTransport::link(const Local& local, Session session) const {
  return ShmLink::create(local, std::move(session));
}

}  // namespace weft
