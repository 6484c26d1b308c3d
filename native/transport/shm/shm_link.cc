#include "transport/shm/shm_link.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

namespace weft {

namespace {
// To ring is to write: into a pipe it could raise SIGPIPE, into a file it would leave bytes behind.
bool is_eventfd(const Fd& fd) {
  char target[64];
  const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), target, sizeof target);
  return n > 0 && std::string_view(target, static_cast<size_t>(n)) == "anon_inode:[eventfd]";
}
}  // namespace

Expected<std::unique_ptr<Link>> ShmLink::create(const Local&, Session session) {
  if (session.fds.size() != 1 + kBays)
    return fail(Code::protocol, "the peer did not pass its arena and doorbells");
  size_t needed = kArenaHeaderBytes;
  for (const Inbound& in : session.inbound) needed = std::max(needed, in.offset + in.layout->bytes());
  if (session.hello.arena_bytes < needed) return fail(Code::protocol, "the peer's arena is too small");
  auto mapping = Mapping::of_file(session.fds[0].get(), session.hello.arena_bytes, false);
  if (!mapping) return std::unexpected(mapping.error());
  const auto* header = reinterpret_cast<const ArenaHeader*>((*mapping)->data());
  if (header->magic != kArenaMagic || header->version != kArenaVersion ||
      header->member != session.hello.from || header->epoch != session.hello.epoch)
    return fail(Code::protocol, "what the peer passed is not its arena of this epoch");

  auto link = std::unique_ptr<ShmLink>(new ShmLink(std::move(session.socket)));
  std::array<Fd, kBays> bells;
  for (size_t i = 0; i < kBays; ++i) {
    bells[i] = std::move(session.fds[1 + i]);
    if (!is_eventfd(bells[i])) return fail(Code::protocol, "what the peer passed as its doorbell is none");
    // Ringing must never block us, whatever the peer passed.
    fcntl(bells[i].get(), F_SETFL, fcntl(bells[i].get(), F_GETFL) | O_NONBLOCK);
  }
  link->peer_ = std::move(*mapping);
  link->doorbell_ = Doorbell(&header->parked, std::move(bells));
  link->inbound_ = std::move(session.inbound);
  return link;
}

bool ShmLink::notice() {
  if (state() != LinkState::up) return false;
  const LinkState now = life_line_.look();
  if (now != LinkState::up) set_state(now);
  return now != LinkState::up;
}

void ShmLink::close(int64_t) {
  if (life_line_.fd() < 0) return;
  if (state() == LinkState::up) {
    life_line_.say_goodbye();
    set_state(LinkState::closed);
  }
  life_line_.close();
  doorbell_.close();
}

}  // namespace weft
