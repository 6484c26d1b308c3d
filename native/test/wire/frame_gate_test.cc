// The one gate for frames: what is right passes, and every field that is wrong by itself is refused, though
// the checksum has been made right again.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "wire/frame.h"

namespace weft::test {
namespace {

using wire::Frame;

wire::PublicationLayout layout(bool lists) {
  return wire::PublicationLayout({3, 100, 4, lists, 50, {16, 2}});
}

struct Gate {
  wire::PublicationLayout layout;
  wire::FrameExpectation expected{0xAABBCCDD, 5, 2, &layout};
  Frame frame;

  Gate(const Gate&) = delete;
  Gate(bool routed, bool begin) : layout(test::layout(routed)) {
    frame.flags = static_cast<uint16_t>((begin ? wire::kBegin : 0) | (routed ? wire::kRoutedFrame : 0));
    frame.generation = 77;
    frame.epoch = 0xAABBCCDD;
    frame.publication = 5;
    frame.destination = 2;
    frame.rows = 90;
    frame.taken = routed ? 30 : 90;
    frame.first = begin ? 0 : 10;
    frame.count = routed ? 7 : 20;
    frame.final_rows = routed ? 40 : frame.first + frame.count;
    frame.tag = 0xDEADBEEF;
    frame.meta_bytes = begin ? 33 : 0;
    frame.body_bytes = static_cast<uint32_t>(body_bytes_of(frame, layout));
  }
  Code after(const std::function<void(Frame&)>& change) const {
    Frame changed = frame;
    change(changed);
    seal(changed);
    return validate(changed, expected);
  }
  // The same with the body's size corrected, so that only the field itself is wrong.
  Code after_resized(const std::function<void(Frame&)>& change) const {
    return after([&](Frame& f) {
      change(f);
      f.body_bytes = static_cast<uint32_t>(body_bytes_of(f, layout));
    });
  }
};

TEST(FrameGate, AFrameLiesInMemoryAsTheProtocolSays) {
  Gate gate(true, true);
  Frame frame = gate.frame;
  seal(frame);
  uint8_t b[64];
  std::memcpy(b, &frame, 64);
  EXPECT_EQ(std::memcmp(b, "TWFR", 4), 0);
  EXPECT_EQ(b[4], 1);      // version
  EXPECT_EQ(b[5], 1);      // kind
  EXPECT_EQ(b[6], 3);      // flags
  EXPECT_EQ(b[8], 77);     // generation
  EXPECT_EQ(b[16], 0xDD);  // epoch
  EXPECT_EQ(b[20], 5);     // publication
  EXPECT_EQ(b[22], 2);     // destination
  EXPECT_EQ(b[24], 90);    // rows
  EXPECT_EQ(b[28], 30);    // taken
  EXPECT_EQ(b[32], 0);     // first
  EXPECT_EQ(b[36], 7);     // count
  EXPECT_EQ(b[40], 40);    // final rows
  EXPECT_EQ(b[44], 0xEF);  // tag
  EXPECT_EQ(b[48], 33);    // metadata bytes
  EXPECT_EQ(b[52] | b[53] << 8, 30 * 4 + 33 + 7 * 18);
}

TEST(FrameGate, TheBodyIsListMetadataAndRows) {
  EXPECT_EQ(Gate(false, true).frame.body_bytes, 33u + 20 * 18);
  EXPECT_EQ(Gate(true, true).frame.body_bytes, 30u * 4 + 33 + 7 * 18);
  EXPECT_EQ(Gate(false, false).frame.body_bytes, 20u * 18);
  EXPECT_EQ(Gate(true, false).frame.body_bytes, 7u * 18);
}

class EachKind : public testing::TestWithParam<std::tuple<bool, bool>> {
 protected:
  Gate gate{std::get<0>(GetParam()), std::get<1>(GetParam())};
  bool routed = std::get<0>(GetParam()), begin = std::get<1>(GetParam());
};

TEST_P(EachKind, WhatIsRightPasses) {
  EXPECT_EQ(gate.after([](Frame&) {}), Code::ok);
  EXPECT_EQ(gate.after([](Frame& f) { f.tag = 0; }), Code::ok);  // the user's, any value
}

TEST_P(EachKind, EveryBitUnderTheChecksumCounts) {
  seal(gate.frame);
  for (size_t bit = 0; bit < sizeof(Frame) * 8; ++bit) {
    Frame changed = gate.frame;
    reinterpret_cast<uint8_t*>(&changed)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_EQ(validate(changed, gate.expected), Code::protocol) << "bit " << bit;
  }
}

TEST_P(EachKind, AFieldThatIsWrongIsRefused) {
  EXPECT_EQ(gate.after([](Frame& f) { f.magic ^= 0x100; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { f.version = 2; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { f.kind = static_cast<wire::FrameKind>(0); }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { f.kind = static_cast<wire::FrameKind>(6); }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { f.flags |= 4; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { f.flags |= 0x8000; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { ++f.epoch; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { ++f.publication; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { ++f.destination; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { f.generation = 0; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { f.generation = wire::kMaxGeneration + 1; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { ++f.body_bytes; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { --f.body_bytes; }), Code::protocol);
  EXPECT_EQ(gate.after([](Frame& f) { f.body_bytes = UINT32_MAX; }), Code::protocol);
}

TEST_P(EachKind, RowsBeyondABoundAreRefused) {
  const auto resized = [&](const auto& change) { return gate.after_resized(change); };
  EXPECT_EQ(resized([&](Frame& f) { f.rows = 101, f.taken = routed ? f.taken : 101; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.rows = UINT32_MAX; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.taken = f.rows + 1; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.first = f.taken + 1; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.first = UINT32_MAX; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.count = f.taken - f.first + 1; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.count = UINT32_MAX; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.final_rows = f.rows + 1; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.final_rows = UINT32_MAX; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.meta_bytes = 51; }), Code::protocol);
  EXPECT_EQ(resized([](Frame& f) { f.meta_bytes = UINT16_MAX; }), Code::protocol);
  // A complete round has carried all that is taken.
  EXPECT_EQ(resized([](Frame& f) { f.final_rows = f.rows; }), Code::protocol);
}

TEST_P(EachKind, SumsThatWrapAroundAreRefused) {
  EXPECT_EQ(gate.after_resized([](Frame& f) { f.first = 0x80000000, f.count = 0x80000000 + 10; }),
            Code::protocol);
  EXPECT_EQ(gate.after_resized([](Frame& f) { f.first = 5, f.count = UINT32_MAX - 2; }), Code::protocol);
  EXPECT_EQ(gate.after_resized([](Frame& f) { f.count = 0x10000000; }), Code::protocol);
}

TEST_P(EachKind, AGoodbyeHasNoBody) {
  const auto goodbye = [](Frame& f) {
    f = Frame{};
    f.epoch = 0xAABBCCDD;
    f.kind = wire::FrameKind::goodbye;
  };
  EXPECT_EQ(gate.after(goodbye), Code::ok);
  EXPECT_EQ(gate.after([&](Frame& f) { goodbye(f), f.body_bytes = 1; }), Code::protocol);
  EXPECT_EQ(gate.after([&](Frame& f) { goodbye(f), f.epoch = 0; }), Code::protocol);
}

INSTANTIATE_TEST_SUITE_P(FrameGate, EachKind, testing::Combine(testing::Bool(), testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param) ? "routed" : "all") +
                                  (std::get<1>(info.param) ? "_begin" : "_later");
                         });

TEST(FrameGate, WhoTakesAllCarriesExactlyTheFinalRows) {
  Gate gate(false, true);
  EXPECT_EQ(gate.after_resized([](Frame& f) { f.taken = f.rows - 1; }), Code::protocol);
  EXPECT_EQ(gate.after_resized([](Frame& f) { ++f.final_rows; }), Code::protocol);
  EXPECT_EQ(gate.after_resized([](Frame& f) { --f.final_rows; }), Code::protocol);
  EXPECT_EQ(gate.after_resized([](Frame& f) { f.count = f.final_rows = 90; }), Code::ok);
}

TEST(FrameGate, APublicationWithoutListsTakesNoRoutedFrames) {
  Gate gate(false, true);
  EXPECT_EQ(gate.after_resized([](Frame& f) { f.flags |= wire::kRoutedFrame; }), Code::protocol);
}

TEST(FrameGate, RowListsAscendAndStayBelowTheRows) {
  const auto check = [](std::vector<uint32_t> list, uint32_t rows) {
    return wire::validate_list(list.data(), static_cast<uint32_t>(list.size()), rows);
  };
  EXPECT_EQ(check({}, 0), Code::ok);
  EXPECT_EQ(check({0}, 1), Code::ok);
  EXPECT_EQ(check({0, 1, 5, 9}, 10), Code::ok);
  EXPECT_EQ(check({0}, 0), Code::protocol);
  EXPECT_EQ(check({10}, 10), Code::protocol);
  EXPECT_EQ(check({0, 10}, 10), Code::protocol);
  EXPECT_EQ(check({UINT32_MAX}, 10), Code::protocol);
  EXPECT_EQ(check({1, 1}, 10), Code::protocol);
  EXPECT_EQ(check({2, 1}, 10), Code::protocol);
  EXPECT_EQ(check({0, 3, 2, 4}, 10), Code::protocol);
}

}  // namespace
}  // namespace weft::test
