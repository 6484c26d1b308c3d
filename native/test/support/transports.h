// The transports that suites run over: those that are everywhere, and the fabrics of this machine that
// WEFT_TEST_FABRICS names ("verbs" or "verbs,ucx"). One that is named and does not work fails its tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace weft::test {

inline std::vector<std::string> fabrics() {
  const char* named = getenv("WEFT_TEST_FABRICS");
  std::vector<std::string> names;
  std::string rest = named == nullptr ? "" : named;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    names.push_back(rest.substr(0, comma));
    rest.erase(0, comma + 1);
  }
  return names;
}
// Tests of one fabric alone begin with this.
#define WEFT_WANTS_FABRIC(name)                                                    \
  if (const auto named = fabrics(); std::ranges::find(named, name) == named.end()) \
  GTEST_SKIP() << "WEFT_TEST_FABRICS does not name " << name

inline std::vector<std::string> with_fabrics(std::vector<std::string> names) {
  for (std::string& name : fabrics()) names.push_back(std::move(name));
  return names;
}
inline std::vector<std::string> every_transport() { return with_fabrics({"loopback", "shm", "tcp"}); }
// Those whose peers are other processes.
inline std::vector<std::string> process_transports() { return with_fabrics({"shm", "tcp"}); }
// Those whose peers may be on other hosts: they listen at a host and a port, and have mirrors.
inline std::vector<std::string> network_transports() { return with_fabrics({"tcp"}); }
inline bool is_network(const std::string& name) { return name != "loopback" && name != "shm"; }

// A suite over transports.
class OnTransports : public testing::TestWithParam<std::string> {};
inline std::string transport_name(const testing::TestParamInfo<std::string>& info) { return info.param; }
#define WEFT_OVER(names, Suite) \
  INSTANTIATE_TEST_SUITE_P(Transports, Suite, testing::ValuesIn(names), transport_name)
#define WEFT_ON_TRANSPORTS(Suite) WEFT_OVER(every_transport(), Suite)

}  // namespace weft::test
