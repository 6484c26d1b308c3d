#include "transport/tcp/tcp.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

#include "transport/socket.h"
#include "transport/tcp/tcp_link.h"

namespace weft {

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Expected<Address> resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    return fail(Code::unavailable, "cannot resolve " + host + ": " + gai_strerror(error));
  Address address;
  address.size = found->ai_addrlen;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return address;
}

// Nobody can connect to a wildcard, however it is written.
bool is_wildcard(const Address& address) {
  if (address.storage.ss_family != AF_INET6)
    return reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr.s_addr == INADDR_ANY;
  const in6_addr& six = reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr;
  uint32_t four;
  std::memcpy(&four, &six.s6_addr[12], sizeof four);
  return IN6_IS_ADDR_UNSPECIFIED(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && four == INADDR_ANY);
}

Expected<uint16_t> port_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return fail(Code::system, "getsockname", errno);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace

void TcpTransport::tune(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // A host that vanished says nothing; keep-alive notices within about 11 s. No TCP_USER_TIMEOUT: it would
  // also end the connection to a process that is merely stopped, which deadlines deal with.
  const int idle_s = 5, interval_s = 2, count = 3;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

std::string TcpTransport::unavailable() const {
  auto listener = listen("127.0.0.1", "");
  return listener ? "" : listener.error().what + ": " + std::strerror(listener.error().system_error);
}

Expected<std::pair<Fd, std::string>> TcpTransport::listen(const std::string& host, const std::string&) const {
  auto address = resolve(host, "0");
  if (!address) return std::unexpected(address.error());
  if (is_wildcard(*address)) return fail(Code::invalid_argument, host + " is a wildcard");
  auto socket = listen_on(address->get(), address->size);
  if (!socket) return std::unexpected(socket.error());
  const auto port = port_of(socket->get());
  if (!port) return std::unexpected(port.error());
  return std::pair{std::move(*socket), host + " " + std::to_string(*port)};
}

Expected<Fd> TcpTransport::dial(const std::string& where, int64_t deadline) const {
  const size_t space = where.find(' ');
  if (space == std::string::npos)
    return fail(Code::protocol, "a tcp address is 'host port', not '" + where + "'");
  auto address = resolve(where.substr(0, space), where.substr(space + 1));
  if (!address) return std::unexpected(address.error());
  return dial_until(address->get(), address->size, deadline);
}

Expected<std::unique_ptr<Link>> TcpTransport::link(const Local& local, Session session) const {
  tune(session.socket.get());
  return TcpLink::create(local, std::move(session));
}

}  // namespace weft
