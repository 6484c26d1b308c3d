// Messages of a ucx link made by hand: out of order, twice, for somebody else, or nonsense.
#include "transport/ucx/message.h"

#include <gtest/gtest.h>

#include <thread>

#include "memory/fd_passing.h"
#include "support/steps.h"
#include "support/visitor.h"
#include "transport/trade.h"
#include "transport/ucx/card.h"
#include "transport/ucx/ucx_link.h"

#if WEFT_HAVE_UCX

namespace weft::test {
namespace {

// An attention rank that shakes hands as it should, and then says what the test wants.
class UcxMessages : public testing::Test {
 protected:
  void SetUp() override {
    WEFT_WANTS_FABRIC("ucx");
    auto listening = Rank::listen(plan, 1, addresses[1]);
    ASSERT_TRUE(listening);
    ffn = std::move(*listening);
    worker = std::move(*UcxWorker::create(1));
    take_primer();
    std::jthread connecting([&] { ASSERT_TRUE(ffn.connect(plan, 1, addresses, deadline_after_ms(5000))); });
    shake_hands();
  }
  void TearDown() override {
    if (worker == nullptr) return;
    ffn.endpoint->close();
    hang_up();
  }
  void hang_up() {
    if (peer == nullptr) return;
    ucp_request_param_t param{};
    param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = UCP_EP_CLOSE_FLAG_FORCE;
    finish(ucx().ucp_ep_close_nbx(std::exchange(peer, nullptr), &param));
    finish(waiting);
  }

  // UCX 1.13 ends the process for a message that no handler was ever set for.
  void take_primer() {
    ucp_am_handler_param_t handler{};
    handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB;
    handler.id = kUcxPrimerId;
    handler.cb = [](void*, const void*, size_t, void*, size_t, const ucp_am_recv_param_t*) { return UCS_OK; };
    ASSERT_EQ(ucx().ucp_worker_set_am_recv_handler(worker->handle(), &handler), UCS_OK);
  }

  const UcxLibrary& ucx() const { return worker->ucx(); }
  void finish(ucs_status_ptr_t request) {
    if (!UCS_PTR_IS_PTR(request)) return;
    while (ucx().ucp_request_check_status(request) == UCS_INPROGRESS)
      ucx().ucp_worker_progress(worker->handle());
    ucx().ucp_request_free(request);
  }
  void shake_hands() {
    const int64_t deadline = deadline_after_ms(5000);
    const Transport& transport = *find_transport("ucx");
    session.socket = std::move(*transport.dial(addresses[1], deadline));
    session.deadline = deadline;
    const Visitor words(plan, Fd());
    const auto say = [&](wire::HelloKind kind) {
      const wire::Hello hello = words.honest(0, 1, kind);
      ASSERT_TRUE(send_with_fds(session.socket.get(), std::as_bytes(std::span(&hello, 1)), {}, deadline));
    };
    say(wire::HelloKind::hello);
    std::vector<Fd> none;
    ASSERT_TRUE(recv_with_fds(session.socket.get(), std::as_writable_bytes(std::span(&session.hello, 1)),
                              none, deadline));
    say(wire::HelloKind::ready);
    const auto address = worker->address();
    const auto answer = trade(session, encode({1, 0, address}), kMostUcxCardBytes);
    ASSERT_TRUE(answer);
    UcxCard theirs;
    ASSERT_EQ(decode(*answer, theirs), Code::ok);
    link = theirs.link;
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
    params.address = reinterpret_cast<const ucp_address_t*>(theirs.address.data());
    params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    ASSERT_EQ(ucx().ucp_ep_create(worker->handle(), &params, &peer), UCS_OK);
    ASSERT_TRUE(trade(session, {}, 0));
    const ucp_request_param_t none_of_it{};
    finish(ucx().ucp_ep_flush_nbx(peer, &none_of_it));
    const char ready = 'r';
    ASSERT_EQ(send(session.socket.get(), &ready, 1, MSG_NOSIGNAL), 1);
    char heard = 0;
    while (recv(session.socket.get(), &heard, 1, MSG_DONTWAIT) != 1)
      ucx().ucp_worker_progress(worker->handle());
    ASSERT_EQ(heard, 'r');
  }

  // A round of one row whose first channel is its generation.
  wire::Frame frame(uint64_t generation) const {
    wire::Frame frame;
    frame.flags = wire::kBegin;
    frame.generation = generation;
    frame.epoch = static_cast<uint32_t>(plan.options(0).epoch);
    frame.rows = frame.taken = frame.count = frame.final_rows = 1;
    frame.body_bytes = 16;
    seal(frame);
    return frame;
  }
  // Returns when UCX is done with it.
  void send_message(const UcxMessage& message, size_t header_bytes, const std::vector<uint16_t>& payload,
                    uint32_t flags = UCP_AM_SEND_FLAG_EAGER) {
    const ucs_status_ptr_t request = start(message, header_bytes, payload, flags);
    ASSERT_FALSE(UCS_PTR_IS_ERR(request));
    finish(request);
  }
  ucs_status_ptr_t start(const UcxMessage& message, size_t header_bytes, const std::vector<uint16_t>& payload,
                         uint32_t flags) {
    ucp_request_param_t param{};
    param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = flags;
    return ucx().ucp_am_send_nbx(peer, kUcxMessageId, &message, header_bytes, payload.data(),
                                 payload.size() * 2, &param);
  }
  void send_round(uint64_t sequence, uint64_t generation, uint32_t flags = UCP_AM_SEND_FLAG_EAGER) {
    send_message({link, sequence, frame(generation)}, sizeof(UcxMessage),
                 std::vector<uint16_t>(8, static_cast<uint16_t>(generation)), flags);
  }
  LinkState state() const { return ffn.endpoint->link(0).state(); }
  bool becomes(LinkState wanted) {
    return until([&] {
      ucx().ucp_worker_progress(worker->handle());
      return state() == wanted;
    });
  }
  static bool until(const std::function<bool()>& condition) {
    for (const int64_t end = deadline_after_ms(5000); now_ns() < end; std::this_thread::yield())
      if (condition()) return true;
    return false;
  }
  // The channel of the round that is collected next; 0 when none comes within the time.
  uint16_t collected(double within_ms = 2000) {
    Collect& collect = ffn.ffn->collect();
    collect.aim(Gather::any, 1, 0, false, false);
    collect.rearm(deadline_after_ms(within_ms));
    if (ffn.endpoint->wait(collect) != Code::ok) return 0;
    uint16_t first;
    std::memcpy(&first, ffn.ffn->subscriber(0).column(ffn.ffn->collected(0), 0), 2);
    return first;
  }

  MeshPlan plan{"ucx", plain_config({1, 1}, 1, 4)};
  std::vector<std::string> addresses = std::vector<std::string>(2);
  Rank ffn;
  std::unique_ptr<UcxWorker> worker;
  Session session;
  ucp_ep_h peer = nullptr;
  ucs_status_ptr_t waiting = nullptr;
  uint64_t link = 0;
};

TEST_F(UcxMessages, InOrderAreTaken) {
  for (uint64_t i = 0; i < 4; ++i) send_round(i, i + 1);
  for (uint16_t g = 1; g <= 4; ++g) EXPECT_EQ(collected(), g);
}

TEST_F(UcxMessages, EarlyOnesWaitForTheirTurn) {
  send_round(3, 4);
  send_round(2, 3);
  send_round(1, 2);
  EXPECT_EQ(collected(50), 0);
  send_round(0, 1);
  for (uint16_t g = 1; g <= 4; ++g) EXPECT_EQ(collected(), g);
}

TEST_F(UcxMessages, AFrameMayComeInSeveralAndByRendezvous) {
  const std::vector<uint16_t> half(4, 1);
  send_message({link, 0, frame(1)}, sizeof(UcxMessage), half);
  EXPECT_EQ(collected(50), 0);
  send_message({link, 1, {}}, kUcxGoesOn, half, UCP_AM_SEND_FLAG_RNDV);
  EXPECT_EQ(collected(), 1);
  send_round(2, 2, UCP_AM_SEND_FLAG_RNDV);
  EXPECT_EQ(collected(), 2);
}

TEST_F(UcxMessages, ForAnotherLinkAreNotTaken) {
  send_message({link + (uint64_t{1} << 40), 0, frame(1)}, sizeof(UcxMessage), std::vector<uint16_t>(8, 9));
  send_message({link + 1, 0, frame(1)}, sizeof(UcxMessage), std::vector<uint16_t>(8, 9));
  send_message({link, 0, frame(1)}, 8, std::vector<uint16_t>(8, 9));
  EXPECT_EQ(collected(50), 0);
  EXPECT_EQ(state(), LinkState::up);
  send_round(0, 1);
  EXPECT_EQ(collected(), 1);
}

TEST_F(UcxMessages, TheSameNumberTwiceBreaksTheLink) {
  send_round(1, 2);
  send_round(1, 2);
  EXPECT_TRUE(becomes(LinkState::broken));
}

TEST_F(UcxMessages, OneThatWasTakenBreaksTheLink) {
  send_round(0, 1);
  send_round(0, 1);
  EXPECT_TRUE(becomes(LinkState::broken));
}

TEST_F(UcxMessages, OneFarAheadBreaksTheLink) {
  send_round(uint64_t{1} << 50, 1);
  EXPECT_TRUE(becomes(LinkState::broken));
}

TEST_F(UcxMessages, AFrameThatFailsTheGateBreaksTheLink) {
  wire::Frame bad = frame(1);
  bad.rows = 1000;
  seal(bad);
  send_message({link, 0, bad}, sizeof(UcxMessage), std::vector<uint16_t>(8));
  EXPECT_TRUE(becomes(LinkState::broken));
}

TEST_F(UcxMessages, MoreThanTheBodyBreaksTheLink) {
  send_message({link, 0, frame(1)}, sizeof(UcxMessage), std::vector<uint16_t>(9));
  EXPECT_TRUE(becomes(LinkState::broken));
}

TEST_F(UcxMessages, ARendezvousOfMoreThanTheBodyBreaksTheLink) {
  send_message({link, 0, frame(1)}, sizeof(UcxMessage), std::vector<uint16_t>(50'000), UCP_AM_SEND_FLAG_RNDV);
  EXPECT_TRUE(becomes(LinkState::broken));
}

TEST_F(UcxMessages, AFrameBeforeTheOneAtHandIsCompleteBreaksTheLink) {
  send_message({link, 0, frame(1)}, sizeof(UcxMessage), std::vector<uint16_t>(4));
  send_round(1, 2);
  EXPECT_TRUE(becomes(LinkState::broken));
}

TEST_F(UcxMessages, ThatGoOnWithNothingBreakTheLink) {
  send_message({link, 0, {}}, kUcxGoesOn, std::vector<uint16_t>(4));
  EXPECT_TRUE(becomes(LinkState::broken));
}

TEST_F(UcxMessages, AGoodbyeClosesTheLinkBehindWhatCameBefore) {
  wire::Frame goodbye;
  goodbye.kind = wire::FrameKind::goodbye;
  goodbye.epoch = static_cast<uint32_t>(plan.options(0).epoch);
  seal(goodbye);
  send_message({link, 1, goodbye}, sizeof(UcxMessage), {});
  EXPECT_EQ(collected(50), 0);
  EXPECT_EQ(state(), LinkState::up);
  send_round(0, 1);
  EXPECT_EQ(collected(), 1);
  EXPECT_TRUE(becomes(LinkState::closed));
}

TEST_F(UcxMessages, ThatAreHeldBackAreLetGoWithTheLink) {
  for (uint64_t i = 1; i < 100; ++i) send_round(i, i + 1);
  const UcxMessage message{link, 100, frame(101)};
  const std::vector<uint16_t> payload(8);
  waiting = start(message, sizeof message, payload, UCP_AM_SEND_FLAG_RNDV);
  EXPECT_EQ(collected(50), 0);
  session.socket.reset();
  EXPECT_TRUE(becomes(LinkState::lost));
  hang_up();  // before what it sends goes away
}

TEST_F(UcxMessages, TheLinkSaysByWhatTheyCome) {
  const std::string devices = ffn.endpoint->link(0).describe();
  EXPECT_NE(devices.find('/'), std::string::npos) << devices;
  EXPECT_EQ(devices.find('\n'), std::string::npos) << devices;
  RecordProperty("devices", devices);
  ffn.endpoint->close();
  EXPECT_EQ(ffn.endpoint->link(0).describe(), devices) << "also when it is closed";
}

}  // namespace
}  // namespace weft::test

#endif  // WEFT_HAVE_UCX
