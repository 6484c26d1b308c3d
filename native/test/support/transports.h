// The transports that suites run over: those that are everywhere, and the fabrics of this machine that
// WEFT_TEST_FABRICS names ("verbs" or "verbs,ucx"). A fabric that is named and does not work fails its tests.
#pragma once

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

inline std::vector<std::string> with_fabrics(std::vector<std::string> names) {
  for (std::string& name : fabrics()) names.push_back(std::move(name));
  return names;
}

// Those that connect processes.
inline std::vector<std::string> between_processes() { return with_fabrics({"shm", "tcp"}); }
inline std::vector<std::string> all_of_them() { return with_fabrics({"loopback", "shm", "tcp"}); }

}  // namespace weft::test
