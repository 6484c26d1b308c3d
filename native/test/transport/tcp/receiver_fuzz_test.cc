// Feeds the fuzzer's entry: valid streams, and streams damaged in every way that comes to mind, checksums
// made right again.
#include <gtest/gtest.h>

#include <cstring>

#include "fuzz/tcp_receiver.h"
#include "support/random.h"
#include "support/scale.h"
#include "wire/lease.h"

namespace weft::test {
namespace {

struct Message {
  wire::Frame frame;
  std::vector<std::byte> body;
};

// A valid stream over both mirrors: rounds in order, streamed or whole, routed or not.
class StreamMaker {
 public:
  StreamMaker(unsigned shape, Random& random) : layout_(fuzz::shape(shape)), random_(random) {}

  // `most`: rounds of each of the two publications.
  std::vector<Message> make(uint64_t most = 5) {
    std::vector<Message> stream;
    for (uint32_t rounds = random_.between(1, 8); rounds > 0; --rounds) {
      const size_t which = random_.below(2);
      if (generations_[which] == most) continue;
      const uint64_t generation = ++generations_[which];
      const auto& [publication, destination] = fuzz::kStreams[which];
      const auto& shape = layout_.shape();
      Message message;
      wire::Frame& f = message.frame;
      f.epoch = fuzz::kEpoch;
      f.publication = publication;
      f.destination = destination;
      f.generation = generation;
      f.rows = random_.below(shape.max_rows + 1);
      f.tag = static_cast<uint32_t>(random_.next());
      const bool routed = shape.lists && random_.chance(60);
      std::vector<uint32_t> list;
      for (uint32_t r = 0; routed && r < f.rows; ++r)
        if (random_.chance(50)) list.push_back(r);
      f.taken = routed ? static_cast<uint32_t>(list.size()) : f.rows;
      f.meta_bytes = static_cast<uint16_t>(random_.below(shape.meta_capacity + 1));
      uint32_t final_rows = 0;
      for (bool begin = true; begin || final_rows < f.rows; begin = false) {
        final_rows = random_.chance(50) ? f.rows : random_.between(final_rows, f.rows);
        f.flags = static_cast<uint16_t>((begin ? wire::kBegin : 0) | (routed ? wire::kRoutedFrame : 0));
        const auto below = [&](uint32_t row) {
          return routed
                     ? static_cast<uint32_t>(std::lower_bound(list.begin(), list.end(), row) - list.begin())
                     : row;
        };
        f.first = begin ? 0 : f.first + f.count;
        f.count = below(final_rows) - f.first;
        f.final_rows = final_rows;
        f.body_bytes = static_cast<uint32_t>(body_bytes_of(f, layout_));
        message.body.resize(f.body_bytes);
        random_.fill(message.body);
        if (begin && routed) std::ranges::copy(std::as_bytes(std::span(list)), message.body.begin());
        seal(f);
        stream.push_back(message);
      }
    }
    for (uint32_t writes = random_.below(4); writes > 0; --writes)
      stream.insert(stream.begin() + random_.below(static_cast<uint32_t>(stream.size())), write());
    if (random_.chance(30)) {
      Message goodbye{};
      goodbye.frame.epoch = fuzz::kEpoch;
      goodbye.frame.kind = wire::FrameKind::goodbye;
      seal(goodbye.frame);
      stream.push_back(goodbye);
    }
    return stream;
  }

 private:
  Message write() {
    wire::LeaseFrame f;
    f.generation = 1;
    f.epoch = fuzz::kEpoch;
    f.lease = static_cast<uint16_t>(random_.below(2));
    f.counter = static_cast<uint16_t>(random_.below(fuzz::kLeaseCounters));
    f.at = random_.below(fuzz::kLeaseBytes);
    f.body_bytes = 1 + random_.below(static_cast<uint32_t>(fuzz::kLeaseBytes - f.at));
    if (random_.chance(10)) f.kind = wire::FrameKind::revoke, f.body_bytes = 0;
    Message message{as_frame(f), std::vector<std::byte>(f.body_bytes)};
    random_.fill(message.body);
    seal(message.frame);
    return message;
  }

  wire::PublicationLayout layout_;
  Random& random_;
  uint64_t generations_[2] = {0, 0};
};

std::vector<uint8_t> input(unsigned shape, uint8_t chunks, uint8_t release,
                           const std::vector<Message>& stream) {
  std::vector<uint8_t> bytes{static_cast<uint8_t>(shape), chunks, release};
  const auto add = [&](const void* data, size_t size) {
    const auto* p = static_cast<const uint8_t*>(data);
    bytes.insert(bytes.end(), p, p + size);
  };
  for (const Message& m : stream) {
    add(&m.frame, sizeof m.frame);
    add(m.body.data(), m.body.size());
  }
  return bytes;
}

uint64_t interesting(Random& random) {
  static const uint64_t values[] = {0,          1,          2,          3,           7,
                                    8,          9,          16,         30,          31,
                                    64,         0x7F,       0xFF,       0xFFFF,      0x10000,
                                    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, wire::kMaxGeneration,
                                    UINT64_MAX};
  return random.chance(80) ? values[random.below(std::size(values))] : random.next();
}

// One field of one header gets another value, and the checksum is right all the same.
void change_field(wire::Frame& f, Random& random) {
  const uint64_t v = interesting(random);
  switch (random.below(14)) {
    case 0:
      f.flags = static_cast<uint16_t>(v & 7);
      break;
    case 1:
      f.generation = v;
      break;
    case 2:
      f.generation += v % 4;
      break;
    case 3:
      f.rows = static_cast<uint32_t>(v);
      break;
    case 4:
      f.taken = static_cast<uint32_t>(v);
      break;
    case 5:
      f.first = static_cast<uint32_t>(v);
      break;
    case 6:
      f.count = static_cast<uint32_t>(v);
      break;
    case 7:
      f.final_rows = static_cast<uint32_t>(v);
      break;
    case 8:
      f.meta_bytes = static_cast<uint16_t>(v);
      break;
    case 9:
      f.body_bytes = static_cast<uint32_t>(v);
      break;
    case 10:
      f.publication = static_cast<uint16_t>(random.chance(50) ? 7 : v);
      break;
    case 11:
      f.kind = static_cast<wire::FrameKind>(v);
      break;
    case 12:
      f.rows -= f.rows > 0, f.taken -= f.taken > 0;
      break;
    default:
      f.first += 1, f.count -= 1;
      break;
  }
  seal(f);
}

void damage(std::vector<Message>& stream, Random& random, const wire::PublicationLayout& layout) {
  const auto any = [&] { return random.below(static_cast<uint32_t>(stream.size())); };
  Message& m = stream[any()];
  switch (random.below(8)) {
    case 0:
    case 1:
      change_field(m.frame, random);
      break;
    case 2:  // and the body follows the header
      change_field(m.frame, random);
      if (const uint64_t bytes = body_bytes_of(m.frame, layout); bytes < 100'000) {
        m.frame.body_bytes = static_cast<uint32_t>(bytes);
        m.body.resize(bytes);
        seal(m.frame);
      }
      break;
    case 3:
      stream.erase(stream.begin() + any());
      break;
    case 4: {
      Message copy = stream[any()];
      stream.insert(stream.begin() + any(), std::move(copy));
      break;
    }
    case 5:
      std::swap(stream[any()], stream[any()]);
      break;
    case 6:  // a row list, most likely
      if (m.body.size() >= 4) {
        const auto v = static_cast<uint32_t>(interesting(random));
        std::memcpy(m.body.data() + 4 * random.below(static_cast<uint32_t>(m.body.size() / 4)), &v, 4);
      }
      break;
    default:
      m.body.resize(random.below(300));
  }
}

TEST(ReceiverFuzz, ValidStreamsAreTaken) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < scaled(1500); ++i) {
    const unsigned shape = random.below(fuzz::kShapes);
    // The reader releases between two looks at the socket, so either a slot is used once, or bytes come one
    // by one.
    const bool tiny = random.chance(3);
    const auto stream = StreamMaker(shape, random).make(tiny ? 5 : fuzz::shape(shape).depth);
    const auto bytes = input(shape, static_cast<uint8_t>(tiny ? 255 : random.below(255)), 1, stream);
    const Received end = fuzz::feed_tcp_receiver(bytes.data(), bytes.size());
    ASSERT_EQ(end,
              stream.back().frame.kind == wire::FrameKind::goodbye ? Received::goodbye : Received::round);
  }
}

TEST(ReceiverFuzz, ASlotThatIsNotReleasedIsNotOverwritten) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < scaled(300); ++i) {
    const unsigned shape = random.below(fuzz::kShapes);
    const auto stream = StreamMaker(shape, random).make();
    bool reuses = false;
    for (const Message& m : stream) reuses |= m.frame.generation > fuzz::shape(shape).depth;
    const auto bytes = input(shape, static_cast<uint8_t>(random.next()), 0, stream);
    const Received end = fuzz::feed_tcp_receiver(bytes.data(), bytes.size());
    ASSERT_EQ(end == Received::nonsense, reuses);
  }
}

TEST(ReceiverFuzz, DamagedStreamsWriteNothingOutOfBounds) {
  const Seed seed;
  Random random(seed.value);
  uint32_t refused = 0;
  const uint32_t runs = scaled(7000);
  for (uint32_t i = 0; i < runs; ++i) {
    const unsigned shape = random.below(fuzz::kShapes);
    const wire::PublicationLayout layout(fuzz::shape(shape));
    auto stream = StreamMaker(shape, random).make();
    for (uint32_t n = random.between(1, 3); n > 0 && !stream.empty(); --n) damage(stream, random, layout);
    auto bytes =
        input(shape, static_cast<uint8_t>(random.next()), static_cast<uint8_t>(random.next()), stream);
    if (random.chance(20)) bytes[random.below(static_cast<uint32_t>(bytes.size()))] ^= 1 << random.below(8);
    if (random.chance(20)) bytes.resize(random.below(static_cast<uint32_t>(bytes.size())) + 1);
    refused += fuzz::feed_tcp_receiver(bytes.data(), bytes.size()) == Received::nonsense;
  }
  EXPECT_GT(refused, runs / 3) << "the damage does too little";
}

TEST(ReceiverFuzz, GarbageIsNonsense) {
  const Seed seed;
  Random random(seed.value);
  for (uint32_t i = 0; i < scaled(1000); ++i) {
    std::vector<uint8_t> bytes(3 + 64 + random.below(500));
    random.fill(std::as_writable_bytes(std::span(bytes)));
    ASSERT_EQ(fuzz::feed_tcp_receiver(bytes.data(), bytes.size()), Received::nonsense);
  }
}

}  // namespace
}  // namespace weft::test
