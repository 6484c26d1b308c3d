// How the two ends of a ucx link come together, over the socket of the handshake.
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ranges>
#include <string_view>

#include "core/clock.h"
#include "transport/trade.h"
#include "transport/ucx/card.h"
#include "transport/ucx/message.h"
#include "transport/ucx/ucx_link.h"

#if WEFT_HAVE_UCX

namespace weft {

namespace {
constexpr std::byte kReady{'r'};
constexpr std::byte kPrimer[4096]{};

uint64_t network_namespace() {
  struct stat of{};
  return stat("/proc/self/ns/net", &of) == 0 ? of.st_ino : 0;
}
}  // namespace

Expected<std::unique_ptr<Link>> UcxLink::create(const Local& local, Session session) {
  auto& engine = *static_cast<UcxEngine*>(local.engine);
  const size_t bytes = place_mirrors(session.inbound);
  auto memory = Mapping::anonymous(bytes);
  if (!memory) return std::unexpected(memory.error());
  std::unique_ptr<UcxLink> link(new UcxLink(engine, local, session, std::move(*memory)));
  if (auto met = link->meet(session); !met) return std::unexpected(met.error());
  link->life_line_ = LifeLine(std::move(session.socket));
  return link;
}

Expected<void> UcxLink::meet(Session& session) {
  std::vector<std::byte> address;
  {
    const auto hold = engine_->enter();
    address = engine_->worker().address();
  }
  const UcxCard ours{number_, network_namespace(), address};
  const auto answer = trade(session, encode(ours), kMostUcxCardBytes);
  if (!answer) return std::unexpected(answer.error());
  UcxCard theirs;
  if (decode(*answer, theirs) != Code::ok) return fail(Code::protocol, "the peer gives no UCX address");
  sender_->address(theirs.link);
  if (auto dialled = dial(theirs.address); !dialled) return dialled;
  if (auto both = trade(session, {}, 0); !both) return std::unexpected(both.error());
  if (auto settled = settle(session); !settled) return settled;
  // Shared memory reaches over network namespaces, but the sockets by which UCX wakes who sleeps on it don't.
  const std::string ways = describe();
  const bool shared_memory = ways.find("posix/") != ways.npos || ways.find("sysv/") != ways.npos;
  if (shared_memory && theirs.network_namespace != ours.network_namespace) engine_->sleep_lightly();
  // Over tcp a rendezvous saves no copy, and costs a turn of both ends.
  const size_t in_a_segment = UcxWorker::tcp_message_bytes();
  const bool all_tcp = std::ranges::all_of(std::views::split(ways, ' '), [](const auto& way) {
    return std::string_view(way).starts_with("tcp/");
  });
  if (all_tcp && in_a_segment > 0) {
    const auto hold = engine_->enter();
    sender_->cut_to(in_a_segment);
  }
  return {};
}

Expected<void> UcxLink::dial(std::span<const std::byte> address) {
  const auto hold = engine_->enter();
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER;
  params.address = reinterpret_cast<const ucp_address_t*>(address.data());
  params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  params.err_handler = {failed, this};
  const ucs_status_t status = engine_->ucx().ucp_ep_create(engine_->worker().handle(), &params, &peer_);
  if (status == UCS_OK) return {};
  peer_ = nullptr;
  return ucx_failure(engine_->ucx(), "UCX finds no way to the peer that also tells when it fails", status);
}

// UCX sets up a connection when it is used first, and both ends have to turn for that; with shared memory it
// does so once more for the first message that is too long to be sent inline. Done here, a way that does not
// work fails the handshake, and not the first round, which else would stay here if its publisher was stopped.
Expected<void> UcxLink::settle(const Session& session) {
  const UcxLibrary& ucx = engine_->ucx();
  ucs_status_ptr_t primer, flush;
  {
    const auto hold = engine_->enter();
    ucp_request_param_t param{};
    param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = UCP_AM_SEND_FLAG_EAGER;
    primer = ucx.ucp_am_send_nbx(peer_, kUcxPrimerId, nullptr, 0, kPrimer, sizeof kPrimer, &param);
    param = {};
    flush = ucx.ucp_ep_flush_nbx(peer_, &param);
  }
  bool told = false, heard = false;
  Expected<void> outcome;
  while (outcome && !(told && heard)) {
    if (!engine_->progress()) {
      pollfd p{session.socket.get(), POLLIN, 0};
      poll(&p, 1, 1);
    }
    const auto hold = engine_->enter();
    const ucs_status_t status = failure() != UCS_OK      ? failure()
                                : UCS_PTR_IS_ERR(primer) ? UCS_PTR_STATUS(primer)
                                : UCS_PTR_IS_PTR(flush)  ? ucx.ucp_request_check_status(flush)
                                                         : UCS_PTR_STATUS(flush);
    if (status == UCS_OK && !told)
      told = send(session.socket.get(), &kReady, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
    if (!heard) {
      std::byte byte;
      const ssize_t n = recv(session.socket.get(), &byte, 1, MSG_DONTWAIT);
      heard = n == 1 && byte == kReady;
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        outcome = fail(Code::peer_lost, "the peer closed the connection while UCX was connecting");
    }
    if (status != UCS_OK && status != UCS_INPROGRESS)
      outcome = ucx_failure(ucx, "UCX does not connect to the peer", status);
    else if (now_ns() >= session.deadline)
      outcome = fail(Code::deadline, "UCX did not connect to the peer in time");
    else if (session.stop != nullptr && session.stop->load())
      outcome = fail(Code::aborted, "connecting was aborted");
  }
  const auto hold = engine_->enter();
  if (!outcome) hang_up();  // which ends the flush
  for (const ucs_status_ptr_t request : {primer, flush})
    if (UCS_PTR_IS_PTR(request)) ucx.ucp_request_free(request);
  return outcome;
}

}  // namespace weft

#endif  // WEFT_HAVE_UCX
