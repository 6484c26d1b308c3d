#include "transport/verbs/queue_pair.h"

#if WEFT_HAVE_VERBS

#include <algorithm>
#include <cerrno>
#include <random>

namespace weft::verbs {

namespace {
// What is sent inline needs no key and is read at once; more than this costs the processor more than it
// saves.
constexpr uint32_t kInlineBytes = 220;
constexpr uint8_t kHops = 64;
// A lost packet is sent again after 4.096 us * 2^14 = 67 ms, six times (seven would be for ever on some
// devices); a peer that is out of receive requests is tried again for ever, as its processor may be busy.
constexpr uint8_t kTimeout = 14, kRetries = 6, kForEver = 7, kNotReadyTimer = 12;
}  // namespace

Expected<std::unique_ptr<QueuePair>> QueuePair::create(Adapter& adapter) {
  const Library& verbs = adapter.library();
  std::unique_ptr<QueuePair> made(new QueuePair);
  made->adapter_ = &adapter;
  ibv_qp_init_attr wish{};
  for (uint32_t bytes = kInlineBytes;; bytes /= 2) {
    wish = {};
    wish.send_cq = wish.recv_cq = adapter.completions();
    wish.srq = adapter.receives();
    wish.qp_type = IBV_QPT_RC;
    wish.cap.max_send_wr = adapter.queue_depth();
    wish.cap.max_send_sge = adapter.max_pieces();
    wish.cap.max_inline_data = bytes;
    made->pair_ = {verbs.ibv_create_qp(adapter.domain(), &wish), {&verbs}};
    made->inline_bytes_ = std::min(bytes, wish.cap.max_inline_data);
    if (made->pair_) break;
    if (bytes == 0) return fail(Code::unavailable, adapter.rail().device + " has no queue pair left", errno);
  }
  made->first_packet_ = std::random_device()() & 0xFFFFFF;
  ibv_qp_attr init{};
  init.qp_state = IBV_QPS_INIT;
  init.port_num = adapter.rail().port;
  init.qp_access_flags = IBV_ACCESS_REMOTE_WRITE;
  if (auto done = made->modify(init, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS,
                               "initialised");
      !done)
    return std::unexpected(done.error());
  return made;
}

RailCard QueuePair::card() const {
  const ibv_port_attr& port = adapter_->port();
  RailCard card;
  card.gid = adapter_->rail().address.gid;
  card.queue_pair = number();
  card.first_packet = first_packet_;
  card.lid = port.lid;
  card.mtu = static_cast<uint8_t>(port.active_mtu);
  card.link_layer = port.link_layer == IBV_LINK_LAYER_ETHERNET ? 2 : 1;
  return card;
}

Expected<void> QueuePair::modify(ibv_qp_attr& attributes, int mask, const char* to) const {
  const int error = adapter_->library().ibv_modify_qp(pair_.get(), &attributes, mask);
  if (error == 0) return {};
  const Rail& rail = adapter_->rail();
  return fail(Code::unavailable,
              "the queue pair on " + rail.device + " (GID " + rail.address.text + ") could not be " + to +
                  "; WEFT_VERBS_DEVICES chooses another device, port or GID",
              error);
}

Expected<void> QueuePair::connect(const RailCard& theirs) {
  const RailCard ours = card();
  if (theirs.link_layer != ours.link_layer)
    return fail(Code::unavailable, "one end is InfiniBand and the other Ethernet");
  ibv_qp_attr ready{};
  ready.qp_state = IBV_QPS_RTR;
  ready.path_mtu = static_cast<ibv_mtu>(std::min(ours.mtu, theirs.mtu));
  ready.dest_qp_num = theirs.queue_pair;
  ready.rq_psn = theirs.first_packet;
  ready.min_rnr_timer = kNotReadyTimer;
  ready.ah_attr.port_num = adapter_->rail().port;
  ready.ah_attr.dlid = theirs.lid;
  // RoCE has nothing but global addresses; InfiniBand needs them only between subnets.
  const bool same_subnet = std::equal(ours.gid.begin(), ours.gid.begin() + 8, theirs.gid.begin());
  ready.ah_attr.is_global = ours.link_layer == 2 || !same_subnet;
  std::copy(theirs.gid.begin(), theirs.gid.end(), ready.ah_attr.grh.dgid.raw);
  ready.ah_attr.grh.sgid_index = static_cast<uint8_t>(adapter_->rail().address.index);
  ready.ah_attr.grh.hop_limit = kHops;
  if (auto done = modify(ready,
                         IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                             IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
                         "connected to the peer's");
      !done)
    return done;
  ibv_qp_attr sends{};
  sends.qp_state = IBV_QPS_RTS;
  sends.timeout = kTimeout;
  sends.retry_cnt = kRetries;
  sends.rnr_retry = kForEver;
  sends.sq_psn = first_packet_;
  return modify(sends,
                IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                    IBV_QP_MAX_QP_RD_ATOMIC,
                "made ready to send");
}

bool QueuePair::post(std::span<ibv_send_wr> chain, bool complete_last) {
  // A completion now and then gives back the places of all requests before it.
  const uint32_t due = std::max(1u, adapter_->queue_depth() / 4);
  for (size_t i = 0; i < chain.size(); ++i) {
    const bool last = i + 1 == chain.size();
    chain[i].next = last ? nullptr : &chain[i + 1];
    chain[i].wr_id = ++posted_;
    if (posted_ - asked_ >= due || (last && complete_last)) {
      chain[i].send_flags |= IBV_SEND_SIGNALED;
      asked_ = posted_;
    }
  }
  ibv_send_wr* bad = nullptr;
  return ibv_post_send(pair_.get(), chain.data(), &bad) == 0;
}

void QueuePair::reset() {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RESET;
  (void)adapter_->library().ibv_modify_qp(pair_.get(), &attributes, IBV_QP_STATE);
}

const char* name_of(ibv_wc_status status) {
  switch (status) {
    case IBV_WC_SUCCESS:
      return "IBV_WC_SUCCESS";
    case IBV_WC_LOC_LEN_ERR:
      return "IBV_WC_LOC_LEN_ERR";
    case IBV_WC_LOC_QP_OP_ERR:
      return "IBV_WC_LOC_QP_OP_ERR";
    case IBV_WC_LOC_EEC_OP_ERR:
      return "IBV_WC_LOC_EEC_OP_ERR";
    case IBV_WC_LOC_PROT_ERR:
      return "IBV_WC_LOC_PROT_ERR: memory that is not registered";
    case IBV_WC_WR_FLUSH_ERR:
      return "IBV_WC_WR_FLUSH_ERR: the queue pair had failed before";
    case IBV_WC_MW_BIND_ERR:
      return "IBV_WC_MW_BIND_ERR";
    case IBV_WC_BAD_RESP_ERR:
      return "IBV_WC_BAD_RESP_ERR";
    case IBV_WC_LOC_ACCESS_ERR:
      return "IBV_WC_LOC_ACCESS_ERR";
    case IBV_WC_REM_INV_REQ_ERR:
      return "IBV_WC_REM_INV_REQ_ERR";
    case IBV_WC_REM_ACCESS_ERR:
      return "IBV_WC_REM_ACCESS_ERR: the peer's device refused a write";
    case IBV_WC_REM_OP_ERR:
      return "IBV_WC_REM_OP_ERR: the peer's device failed";
    case IBV_WC_RETRY_EXC_ERR:
      return "IBV_WC_RETRY_EXC_ERR: the peer's device did not answer";
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return "IBV_WC_RNR_RETRY_EXC_ERR: the peer took nothing in";
    case IBV_WC_LOC_RDD_VIOL_ERR:
      return "IBV_WC_LOC_RDD_VIOL_ERR";
    case IBV_WC_REM_INV_RD_REQ_ERR:
      return "IBV_WC_REM_INV_RD_REQ_ERR";
    case IBV_WC_REM_ABORT_ERR:
      return "IBV_WC_REM_ABORT_ERR";
    case IBV_WC_INV_EECN_ERR:
      return "IBV_WC_INV_EECN_ERR";
    case IBV_WC_INV_EEC_STATE_ERR:
      return "IBV_WC_INV_EEC_STATE_ERR";
    case IBV_WC_FATAL_ERR:
      return "IBV_WC_FATAL_ERR";
    case IBV_WC_RESP_TIMEOUT_ERR:
      return "IBV_WC_RESP_TIMEOUT_ERR";
    case IBV_WC_GENERAL_ERR:
      return "IBV_WC_GENERAL_ERR";
    case IBV_WC_TM_ERR:
      return "IBV_WC_TM_ERR";
    case IBV_WC_TM_RNDV_INCOMPLETE:
      return "IBV_WC_TM_RNDV_INCOMPLETE";
  }
  return "a work completion of unknown status";
}

}  // namespace weft::verbs

#endif
