// The receiving half of a tcp link: takes frames apart and applies them to the mirrors of the peer's
// publications, and to memory that is leased to it.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <utility>
#include <vector>

#include "transport/mirrors.h"

namespace weft {

enum class Received { nothing, bytes, round, goodbye, end, nonsense };

class TcpReceiver {
 public:
  TcpReceiver(uint32_t epoch, std::vector<Inbound> inbound, std::shared_ptr<Mapping> memory, Leases& leases);

  // One system call's worth; applies every frame that is complete.
  Received receive(int socket);
  uint64_t arrivals() const { return arrivals_.read(); }
  void release(size_t inbound, uint64_t generation) { mirrors_.release(inbound, generation); }

  // The lease is closed: what is on its way into its memory goes nowhere.
  void forget(uint16_t lease);
  // What the peer told us to write no more to since the last call.
  std::vector<wire::LeaseFrame> take_revokes() { return std::exchange(revokes_, {}); }

  const std::byte* mirror(size_t i) const { return mirrors_.mirror(i); }
  const std::shared_ptr<Mapping>& memory() const { return mirrors_.memory(); }

 private:
  Code accept();  // a whole header lies in frame_: the gate, and where its body goes
  Code apply();   // the body is complete: makes it visible
  size_t gather(std::span<iovec> out, size_t& body_bytes);
  bool take_staged();  // moves staged bytes to where they belong; false: nonsense

  Mirrors mirrors_;
  Leases& leases_;
  wire::Frame frame_;
  bool in_body_ = false;
  size_t inbound_of_frame_ = 0;
  Body body_;
  std::vector<std::byte> staging_;
  size_t staged_from_ = 0, staged_to_ = 0;
  std::vector<std::byte> nowhere_;
  std::vector<wire::LeaseFrame> revokes_;
  bool saw_round_ = false, saw_goodbye_ = false;
  Counter arrivals_;
};

}  // namespace weft
