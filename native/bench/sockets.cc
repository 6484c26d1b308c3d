#include "bench/sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

#include "core/clock.h"

namespace weft::bench {

namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void no_delay(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void send_all(int socket, const std::byte* payload, size_t bytes, const void* scales, size_t scale_bytes) {
  size_t sent = 0;
  while (sent < bytes + scale_bytes) {
    iovec pieces[2];
    int count = 0;
    if (sent < bytes) pieces[count++] = {const_cast<std::byte*>(payload) + sent, bytes - sent};
    const size_t of_scales = sent > bytes ? sent - bytes : 0;
    if (of_scales < scale_bytes)
      pieces[count++] = {const_cast<char*>(static_cast<const char*>(scales)) + of_scales,
                         scale_bytes - of_scales};
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<size_t>(count);
    const ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) sent += static_cast<size_t>(n);
  }
}

// False when the peer is gone.
bool receive_all(int socket, std::byte* data, size_t bytes, bool spin) {
  while (bytes > 0) {
    const ssize_t n = recv(socket, data, bytes, spin ? MSG_DONTWAIT : 0);
    if (n == 0) return false;
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) continue;
      return false;
    }
    data += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

Expected<std::pair<Fd, uint16_t>> socket_listen() {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (!socket || bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(socket.get(), 64) != 0 ||
      getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return fail(Code::system, "listening on loopback", errno);
  return std::pair{std::move(socket), ntohs(address.sin_port)};
}

Expected<std::vector<Fd>> socket_connect(std::span<const uint16_t> ports) {
  std::vector<Fd> sockets;
  for (const uint16_t port : ports) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port);
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return fail(Code::system, "connecting over loopback", errno);
    no_delay(socket.get());
    // The order of connecting is the order of ranks nowhere; the first byte says nothing, each peer is served
    // alike.
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

Expected<std::vector<Fd>> socket_accept(const Fd& listener, uint32_t count) {
  std::vector<Fd> sockets;
  while (sockets.size() < count) {
    Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return fail(Code::system, "accept", errno);
    no_delay(socket.get());
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

uint64_t socket_attention(const Workload& work, std::span<const Fd> ffn, uint32_t rank, uint64_t base,
                          std::span<double> samples, bool spin) {
  std::vector<std::byte> payload(work.payload_bytes()), result(work.reply_bytes()), scratch;
  std::vector<float> scales(work.scale_bytes() / sizeof(float));
  std::vector<std::vector<std::byte>> received(work.ffn, std::vector<std::byte>(work.reply_bytes()));
  std::vector<const std::byte*> replies;
  for (const auto& one : received) replies.push_back(one.data());
  uint64_t wrong = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    fill(work, seed_of(rank, base + i + 1), payload.data(), scales.data());
    const int64_t start = now_ns();
    for (const Fd& peer : ffn)
      send_all(peer.get(), payload.data(), payload.size(), scales.data(), work.scale_bytes());
    for (uint32_t f = 0; f < work.ffn; ++f)
      if (!receive_all(ffn[f].get(), received[f].data(), work.reply_bytes(), spin)) return wrong + 1;
    reduce(work, replies.data(), result.data());
    samples[i] = static_cast<double>(now_ns() - start);
    wrong += count_wrong(work, payload.data(), scales.data(), result.data(), scratch);
  }
  return wrong;
}

void socket_ffn(const Workload& work, std::span<const Fd> attention, uint64_t rounds, bool spin) {
  std::vector<std::byte> payload(work.payload_bytes()), output(work.reply_bytes());
  std::vector<float> scales(work.scale_bytes() / sizeof(float));
  std::vector<uint64_t> left(attention.size(), rounds);
  uint64_t total = rounds * attention.size();
  while (total > 0) {
    for (size_t a = 0; a < attention.size() && total > 0; ++a) {
      if (left[a] == 0) continue;
      if (attention.size() > 1) {
        pollfd ready{attention[a].get(), POLLIN, 0};
        if (poll(&ready, 1, spin ? 0 : (total > 0 ? 1 : 0)) <= 0) continue;
      }
      if (!receive_all(attention[a].get(), payload.data(), payload.size(), spin) ||
          !receive_all(attention[a].get(), reinterpret_cast<std::byte*>(scales.data()), work.scale_bytes(),
                       spin))
        return;
      consume(work, payload.data(), scales.data(), 0, work.tokens, output.data());
      send_all(attention[a].get(), output.data(), output.size(), nullptr, 0);
      --left[a];
      --total;
    }
  }
}

}  // namespace weft::bench
