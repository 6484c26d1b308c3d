#include "support/json.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace weft::test {

namespace {

[[noreturn]] void broken(const std::string& what) {
  std::fprintf(stderr, "conformance vectors: %s\n", what.c_str());
  std::abort();
}

}  // namespace

class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : text_(text) {}

  Json value() {
    Json json;
    switch (peek()) {
      case '{':
        each('}', [&] {
          std::string key = string();
          expect(':');
          json.fields_.emplace_back(std::move(key), value());
        });
        break;
      case '[':
        each(']', [&] { json.items_.push_back(value()); });
        break;
      case '"':
        json.text_ = string();
        break;
      default:
        while (at_ < text_.size() &&
               std::string_view(",]}\n\r\t ").find(text_[at_]) == std::string_view::npos)
          json.text_ += text_[at_++];
    }
    return json;
  }

 private:
  char peek() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
    if (at_ == text_.size()) broken("end of file within a value");
    return text_[at_];
  }
  void expect(char c) {
    if (peek() != c) broken(std::string("expected ") + c + " at byte " + std::to_string(at_));
    ++at_;
  }
  std::string string() {
    expect('"');
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') ++at_;  // the vectors escape nothing but quotes and backslashes
      if (at_ < text_.size()) out += text_[at_++];
    }
    expect('"');
    return out;
  }
  template <class One>
  void each(char end, One one) {
    ++at_;
    if (peek() == end) {
      ++at_;
      return;
    }
    for (;;) {
      one();
      if (peek() == end) break;
      expect(',');
    }
    ++at_;
  }

  const std::string& text_;
  size_t at_ = 0;
};

Json Json::parse(const std::string& text) { return JsonReader(text).value(); }

Json Json::vectors(const std::string& name) {
  const std::string path = std::string(WEFT_VECTORS) + "/" + name + ".json";
  std::ifstream file(path);
  if (!file) broken("cannot read " + path);
  std::stringstream text;
  text << file.rdbuf();
  return parse(text.str());
}

const Json& Json::operator[](const std::string& key) const {
  for (const auto& [name, value] : fields_)
    if (name == key) return value;
  broken("no field " + key);
}

uint64_t Json::number() const {
  char* end = nullptr;
  const uint64_t value = std::strtoull(text_.c_str(), &end, 10);
  if (text_.empty() || *end != 0) broken("not a number: " + text_);
  return value;
}

std::vector<std::byte> Json::bytes() const {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    broken(std::string("not a hex digit: ") + c);
  };
  std::vector<std::byte> out(text_.size() / 2);
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::byte>(digit(text_[2 * i]) << 4 | digit(text_[2 * i + 1]));
  return out;
}

}  // namespace weft::test
