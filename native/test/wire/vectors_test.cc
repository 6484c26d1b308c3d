// The committed vectors, which an independent encoder made: our structs, our sender and our receiver agree
// with them.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "support/json.h"
#include "support/stream.h"
#include "wire/crc32c.h"
#include "wire/hello.h"

namespace weft::test {
namespace {

const Json& vectors() {
  static const Json json = Json::vectors("wire");
  return json;
}

template <class Integer>
Integer as(const Json& json) {
  return static_cast<Integer>(json.number());
}

wire::PublicationShape shape_of(const Json& json) {
  wire::PublicationShape shape;
  shape.depth = as<uint32_t>(json["depth"]);
  shape.max_rows = as<uint32_t>(json["maxRows"]);
  shape.destinations = as<uint32_t>(json["destinations"]);
  shape.lists = json["lists"].boolean();
  shape.meta_capacity = as<uint32_t>(json["metaCapacity"]);
  for (const Json& width : json["columnBytes"].items()) shape.column_bytes.push_back(as<uint32_t>(width));
  for (const Json& column : json["leading"].items()) shape.leading |= 1u << as<uint32_t>(column);
  return shape;
}

template <size_t N>
std::array<uint8_t, N> array_of(const Json& json) {
  std::array<uint8_t, N> out;
  std::memcpy(out.data(), json.bytes().data(), N);
  return out;
}

template <class Struct>
std::vector<std::byte> memory_of(const Struct& s) {
  const auto bytes = std::bit_cast<std::array<std::byte, sizeof(Struct)>>(s);
  return {bytes.begin(), bytes.end()};
}

wire::Frame frame_of(const Json& fields, const std::vector<std::byte>& message) {
  wire::Frame frame;
  frame.kind = static_cast<wire::FrameKind>(fields["kind"].number());
  frame.flags = as<uint16_t>(fields["flags"]);
  frame.generation = fields["generation"].number();
  frame.epoch = as<uint32_t>(fields["epoch"]);
  frame.publication = as<uint16_t>(fields["publication"]);
  frame.destination = as<uint16_t>(fields["destination"]);
  frame.rows = as<uint32_t>(fields["rows"]);
  frame.taken = as<uint32_t>(fields["taken"]);
  frame.first = as<uint32_t>(fields["first"]);
  frame.count = as<uint32_t>(fields["count"]);
  frame.final_rows = as<uint32_t>(fields["finalRows"]);
  frame.tag = as<uint32_t>(fields["tag"]);
  frame.meta_bytes = as<uint16_t>(fields["metaBytes"]);
  frame.body_bytes = static_cast<uint32_t>(message.size() - sizeof frame);
  seal(frame);
  return frame;
}

TEST(Vectors, ChecksumsAreTheSame) {
  for (const Json& v : vectors()["crc32c"].items()) {
    const auto bytes = v["hex"].bytes();
    EXPECT_EQ(wire::crc32c(bytes.data(), bytes.size()), v["crc"].number());
  }
}

TEST(Vectors, HellosAreTheSameBytes) {
  for (const Json& v : vectors()["hellos"].items()) {
    const Json& f = v["fields"];
    wire::Hello hello;
    hello.kind = static_cast<wire::HelloKind>(f["kind"].number());
    hello.mesh_id = array_of<16>(f["meshId"]);
    hello.epoch = f["epoch"].number();
    hello.from = as<uint32_t>(f["from"]);
    hello.to = as<uint32_t>(f["to"]);
    hello.config_hash = array_of<32>(f["configHash"]);
    hello.proof = array_of<32>(f["proof"]);
    hello.arena_bytes = f["arenaBytes"].number();
    hello.reason = as<uint32_t>(f["reason"]);
    seal(hello);
    EXPECT_EQ(memory_of(hello), v["hex"].bytes()) << v["name"].text();
    EXPECT_EQ(validate_shape(hello), Code::ok);
  }
}

TEST(Vectors, FrameHeadersAreTheSameBytesAndPassTheGate) {
  for (const Json& stream : vectors()["streams"].items()) {
    const wire::PublicationLayout layout(shape_of(stream["shape"]));
    for (const Json& v : stream["frames"].items()) {
      const auto message = v["hex"].bytes();
      const wire::Frame frame = frame_of(v["fields"], message);
      EXPECT_EQ(memory_of(frame), std::vector(message.begin(), message.begin() + sizeof frame))
          << v["name"].text();
      EXPECT_EQ(validate(frame, {kStreamEpoch, 5, 2, &layout}), Code::ok) << v["name"].text();
    }
  }
}

// Of the first row of a column that a frame carries, the index among the taken rows.
size_t first_of(const wire::PublicationLayout& layout, const Json& fields, uint32_t column) {
  return layout.leads(column) ? 0 : fields["first"].number();
}

void receive(const Json& stream) {
  MirrorBench bench(shape_of(stream["shape"]));
  for (const Json& v : stream["frames"].items()) {
    const Json& f = v["fields"];
    const bool goodbye = f["kind"].number() == 2;
    ASSERT_EQ(bench.feed(v["hex"].bytes()), goodbye ? Received::goodbye : Received::round)
        << v["name"].text();
    if (goodbye) continue;
    const uint64_t generation = f["generation"].number();
    EXPECT_EQ(bench.state(generation), wire::state_word(generation, as<uint32_t>(f["finalRows"])));
    EXPECT_EQ(bench.head(generation).rows, f["rows"].number());
    EXPECT_EQ(bench.head(generation).tag, f["tag"].number());
    const auto& list = v["body"]["list"].items();
    for (size_t i = 0; i < list.size(); ++i) EXPECT_EQ(bench.list(generation).rows[i], list[i].number());
    const auto meta = v["body"]["meta"].bytes();
    if (!meta.empty()) {
      EXPECT_EQ(bench.head(generation).meta_bytes, meta.size());
      const std::byte* got = bench.mirror() + bench.layout.meta(bench.layout.slot_of(generation));
      EXPECT_EQ(std::vector(got, got + meta.size()), meta);
    }
    for (uint32_t c = 0; c < bench.layout.shape().column_bytes.size(); ++c) {
      const auto rows = v["body"]["rows"].items()[c].bytes();
      const std::byte* got =
          bench.column(generation, c) + first_of(bench.layout, f, c) * bench.layout.shape().column_bytes[c];
      EXPECT_EQ(std::vector(got, got + rows.size()), rows) << v["name"].text();
    }
  }
  EXPECT_TRUE(bench.guards_intact());
}

TEST(Vectors, TheReceiverPutsTheStreamsWhereTheyBelong) {
  for (const Json& stream : vectors()["streams"].items()) receive(stream);
}

// Publishes what the frames of the stream say, row by row where they belong at the source.
void send(const Json& stream) {
  const wire::PublicationLayout layout(shape_of(stream["shape"]));
  const Pages memory(layout.bytes());
  std::byte* base = memory.data();
  const SocketPair sockets;
  TcpSender sender(kStreamEpoch, std::vector<Inbound>{{0, 0, 0, &layout}});
  std::vector<uint32_t> taken;
  for (const Json& v : stream["frames"].items()) {
    const Json& f = v["fields"];
    if (f["kind"].number() == 2) {
      sender.outbox().enqueue_goodbye();
    } else {
      const uint64_t generation = f["generation"].number();
      const uint32_t slot = layout.slot_of(generation);
      const bool begin = (f["flags"].number() & wire::kBegin) != 0;
      const bool routed = (f["flags"].number() & wire::kRoutedFrame) != 0;
      wire::SlotHead& head = layout.head_of(base, slot);
      if (begin) {
        head.rows = as<uint32_t>(f["rows"]);
        head.tag = as<uint32_t>(f["tag"]);
        head.meta_bytes = as<uint16_t>(f["metaBytes"]);
        head.flags = routed ? wire::kRouted : 0;
        const auto meta = v["body"]["meta"].bytes();
        std::copy(meta.begin(), meta.end(), base + layout.meta(slot));
        taken.clear();
        for (const Json& row : v["body"]["list"].items()) taken.push_back(as<uint32_t>(row));
        for (uint32_t row = 0; !routed && row < head.rows; ++row) taken.push_back(row);
        if (routed) {
          layout.list_of(base, slot, 2).count = static_cast<uint32_t>(taken.size());
          std::copy(taken.begin(), taken.end(), layout.list_of(base, slot, 2).rows);
        }
      }
      for (uint32_t c = 0; c < layout.shape().column_bytes.size(); ++c) {
        const size_t width = layout.shape().column_bytes[c];
        const auto rows = v["body"]["rows"].items()[c].bytes();
        for (size_t i = 0; i * width < rows.size(); ++i)
          std::copy_n(rows.begin() + static_cast<ptrdiff_t>(i * width), width,
                      base + layout.column(slot, c) + taken[first_of(layout, f, c) + i] * width);
      }
      const uint64_t before = head.state.load();
      const uint32_t from = begin ? 0 : wire::final_rows_of(before);
      head.state = wire::state_word(generation, as<uint32_t>(f["finalRows"]));
      sender.enqueue({&layout, base, 5, 2, generation, from, as<uint32_t>(f["finalRows"]), begin});
    }
    EXPECT_TRUE(sender.flush(sockets.near.get()));
    EXPECT_EQ(sockets.drain(), v["hex"].bytes()) << v["name"].text();
  }
}

TEST(Vectors, TheSenderWritesTheStreamsByteForByte) {
  for (const Json& stream : vectors()["streams"].items()) send(stream);
}

TEST(Vectors, LayoutsAreTheSame) {
  for (const Json& v : vectors()["publications"].items()) {
    const auto shape = shape_of(v["shape"]);
    const wire::PublicationLayout layout(shape);
    const Json& want = v["layout"];
    EXPECT_EQ(layout.bytes(), want["bytes"].number()) << v["name"].text();
    for (uint32_t slot = 0; slot < shape.depth; ++slot) {
      EXPECT_EQ(layout.head(slot), want["heads"].items()[slot].number());
      EXPECT_EQ(layout.meta(slot), want["metas"].items()[slot].number());
      for (uint32_t d = 0; shape.lists && d < shape.destinations; ++d)
        EXPECT_EQ(layout.list(slot, d), want["lists"].items()[slot].items()[d].number());
      for (uint32_t c = 0; c < shape.column_bytes.size(); ++c)
        EXPECT_EQ(layout.column(slot, c), want["columns"].items()[slot].items()[c].number())
            << v["name"].text();
    }
  }
}

TEST(Vectors, StateWordsAreTheSame) {
  for (const Json& v : vectors()["stateWords"].items()) {
    const uint64_t generation = v["generation"].number();
    const uint32_t rows = as<uint32_t>(v["rows"]);
    EXPECT_EQ(wire::state_word(generation, rows), v["word"].number());
    EXPECT_EQ(wire::generation_of(v["word"].number()), generation);
    EXPECT_EQ(wire::final_rows_of(v["word"].number()), rows);
  }
}

}  // namespace
}  // namespace weft::test
