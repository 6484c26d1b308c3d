// What UCX says of itself, and that it keeps out of the process's affairs.
#include "transport/ucx/ucx.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "support/descriptors.h"
#include "support/process.h"
#include "support/scale.h"
#include "support/transports.h"

namespace weft::test {
namespace {

TEST(UcxOffer, ListsWhatThereIs) {
  WEFT_WANTS_FABRIC("ucx");
  const auto offer = ucx_offer();
  ASSERT_TRUE(offer) << offer.error().what;
  EXPECT_FALSE(offer->version.empty());
  ASSERT_FALSE(offer->resources.empty());
  bool fabric = false;
  for (const std::string& resource : offer->resources) {
    EXPECT_NE(resource.find('/'), std::string::npos) << resource;
    EXPECT_EQ(resource.find_first_of(" \n#"), std::string::npos) << resource;
    fabric |= resource.starts_with("rc_") || resource.starts_with("ud_") || resource.starts_with("dc_");
  }
  EXPECT_EQ(offer->fabric, fabric);
  ASSERT_FALSE(offer->memory.empty());
  EXPECT_EQ(offer->memory.front(), "host");
}

TEST(UcxOffer, IsEmptyWhenUcxHasNothing) {
  WEFT_WANTS_FABRIC("ucx");
  Child child([] {
    setenv("UCX_TLS", "nothing_of_this_name", 1);
    setenv("UCX_LOG_LEVEL", "fatal", 1);
    const auto offer = ucx_offer();
    ASSERT_FALSE(offer);
    EXPECT_EQ(offer.error().code, Code::unavailable);
    EXPECT_NE(offer.error().what, "");
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST(UcxOffer, LeavesTheSignalsOfACrashToTheProcess) {
  WEFT_WANTS_FABRIC("ucx");
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    struct sigaction now{};
    sigaction(signal, nullptr, &now);
    if (kSanitized) continue;  // which have handlers of their own
    EXPECT_EQ(now.sa_handler, SIG_DFL) << "signal " << signal;
  }
}

TEST(UcxOffer, LeavesNothingBehind) {
  WEFT_WANTS_FABRIC("ucx");
  ASSERT_TRUE(ucx_offer());
  const size_t descriptors = open_descriptors(), threads = running_threads();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ucx_offer());
  EXPECT_EQ(open_descriptors(), descriptors);
  // Not equal: a thread that an earlier test joined may have been on its way out when they were counted.
  EXPECT_TRUE(until([&] { return running_threads() <= threads; })) << running_threads() << " of " << threads;
}

}  // namespace
}  // namespace weft::test
