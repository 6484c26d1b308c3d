// One UCX context with its one worker: what all endpoints of a process's ucx links belong to.
#pragma once

#include "transport/ucx/library.h"

#if WEFT_HAVE_UCX

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace weft {

class UcxWorker {
 public:
  // `peers`: an estimate, by which UCX chooses among transports.
  static Expected<std::unique_ptr<UcxWorker>> create(size_t peers);
  ~UcxWorker();
  UcxWorker(const UcxWorker&) = delete;

  const UcxLibrary& ucx() const { return ucx_; }
  ucp_worker_h handle() const { return worker_; }
  // Ends all that is under way; memory can still be forgotten.
  void stop();
  // For poll(2), once armed.
  int fd() const { return fd_; }
  // What peers need to reach us.
  std::vector<std::byte> address() const;
  // Registers memory with all devices. Null when that does not work: UCX then does what it can piece by
  // piece.
  ucp_mem_h register_memory(std::span<std::byte> memory);
  void forget_memory(ucp_mem_h memory);
  // Messages of up to so many bytes go over tcp in one segment; 0: as UCX was told by others.
  static size_t tcp_message_bytes();
  // "tcp/eth0", "rc_verbs/mlx5_0:1" and so on.
  std::vector<std::string> resources() const;
  // "host", "cuda" and so on.
  std::vector<std::string> memory_kinds() const;

 private:
  explicit UcxWorker(const UcxLibrary& ucx) : ucx_(ucx) {}
  Expected<void> open(size_t peers);

  const UcxLibrary& ucx_;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  int fd_ = -1;
};

// What a UCX function prints to a stream.
template <class F>
std::string ucx_printed(F&& print) {
  char* text = nullptr;
  size_t bytes = 0;
  FILE* stream = open_memstream(&text, &bytes);
  if (stream == nullptr) return {};
  print(stream);
  fclose(stream);
  std::string all(text, bytes);
  free(text);
  return all;
}

}  // namespace weft

#endif  // WEFT_HAVE_UCX
