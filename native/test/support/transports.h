// The transports that suites run over, by name. One that this machine cannot do is skipped, with its reason.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "transport/transport.h"

namespace weft::test {

constexpr const char* kTransports[] = {"loopback", "shm", "tcp", "ucx"};

inline std::vector<std::string> every_transport() { return {std::begin(kTransports), std::end(kTransports)}; }
// Those whose peers are other processes.
inline std::vector<std::string> process_transports() {
  return {std::begin(kTransports) + 1, std::end(kTransports)};
}
// Those whose peers may be on other hosts: they listen at a host and a port, and have mirrors.
inline std::vector<std::string> network_transports() {
  return {std::begin(kTransports) + 2, std::end(kTransports)};
}
inline bool is_network(const std::string& name) { return name != "loopback" && name != "shm"; }

// Ends the test, or a fixture's SetUp().
#define WEFT_SKIP_UNAVAILABLE(name)                                              \
  do {                                                                           \
    const std::string why = find_transport(name)->unavailable();                 \
    if (!why.empty()) GTEST_SKIP() << (name) << " is unavailable here: " << why; \
  } while (false)

// A suite over transports.
class OnTransports : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { WEFT_SKIP_UNAVAILABLE(GetParam()); }
};
inline std::string transport_name(const testing::TestParamInfo<std::string>& info) { return info.param; }
#define WEFT_OVER(names, Suite) \
  INSTANTIATE_TEST_SUITE_P(Transports, Suite, testing::ValuesIn(names), transport_name)
#define WEFT_ON_TRANSPORTS(Suite) WEFT_OVER(every_transport(), Suite)

}  // namespace weft::test
