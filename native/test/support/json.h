// Just enough JSON to read the conformance vectors. A file that is not what is expected ends the test
// program.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace weft::test {

class Json {
 public:
  // vectors/<name>.json
  static Json vectors(const std::string& name);
  static Json parse(const std::string& text);

  const Json& operator[](const std::string& key) const;
  const std::vector<Json>& items() const { return items_; }
  // A number, or a string of digits (as the vectors write 64-bit numbers).
  uint64_t number() const;
  bool boolean() const { return text_ == "true"; }
  const std::string& text() const { return text_; }
  std::vector<std::byte> bytes() const;  // of a string of hex digits

 private:
  friend class JsonReader;
  std::string text_;  // of a string, or the literal
  std::vector<Json> items_;
  std::vector<std::pair<std::string, Json>> fields_;
};

}  // namespace weft::test
