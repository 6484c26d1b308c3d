#pragma once

#include <cstdlib>

namespace weft::test {

// A variable of the environment that has a value for as long as this lives; null: nothing is changed.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(value == nullptr ? nullptr : name) {
    if (name_ != nullptr) setenv(name_, value, 1);
  }
  ~Environment() {
    if (name_ != nullptr) unsetenv(name_);
  }
  Environment(const Environment&) = delete;

 private:
  const char* name_;
};

}  // namespace weft::test
