#include "transport/ucx/worker.h"

#if WEFT_HAVE_UCX

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace weft {

namespace {
// What is better for us than UCX's default, where nobody has set it: the environment goes first.
struct Option {
  const char* name;
  const char* value;
  const char* variable;
  std::initializer_list<std::string_view> transports;  // as UCX_TLS calls those that have a use for it
};
const Option kOptions[] = {
    // Endpoints report failures (UCP_ERR_HANDLING_MODE_PEER), and UCX uses only what can do so. Its shared
    // memory can, but does not by default: with UCX_TLS=posix nothing would be left.
    {"MM_ERROR_HANDLING", "y", "UCX_POSIX_ERROR_HANDLING", {"posix", "sm", "shm", "all"}},
    // Such endpoints get large messages over tcp segment by segment. In 1.13, with 8 and 64 KiB, that takes
    // half as long again as what others use.
    {"TX_SEG_SIZE", "528k", "UCX_TCP_TX_SEG_SIZE", {"tcp", "all"}},
    {"RX_SEG_SIZE", "528k", "UCX_TCP_RX_SEG_SIZE", {"tcp", "all"}},
};

// Of a segment; the rest is for UCX's headers and ours.
constexpr size_t kTcpMessageBytes = 512 * 1024;

// UCX warns of an option that nothing has a use for.
bool has_a_use(const Option& option) {
  const char* chosen = getenv("UCX_TLS");
  if (chosen == nullptr) return true;
  const std::string_view names = chosen;
  return names.find('^') == names.npos &&
         std::any_of(option.transports.begin(), option.transports.end(),
                     [&](std::string_view name) { return names.find(name) != names.npos; });
}
}  // namespace

size_t UcxWorker::tcp_message_bytes() {
  const bool ours = getenv("UCX_TCP_TX_SEG_SIZE") == nullptr && getenv("UCX_TCP_RX_SEG_SIZE") == nullptr;
  return ours ? kTcpMessageBytes : 0;
}

Expected<std::unique_ptr<UcxWorker>> UcxWorker::create(size_t peers) {
  const auto ucx = ucx_library();
  if (!ucx) return std::unexpected(ucx.error());
  std::unique_ptr<UcxWorker> worker(new UcxWorker(**ucx));
  if (auto opened = worker->open(peers); !opened) return std::unexpected(opened.error());
  return worker;
}

void UcxWorker::stop() {
  if (worker_ != nullptr) ucx_.ucp_worker_destroy(std::exchange(worker_, nullptr));
}

UcxWorker::~UcxWorker() {
  stop();
  if (context_ != nullptr) ucx_.ucp_cleanup(context_);
}

Expected<void> UcxWorker::open(size_t peers) {
  ucp_config_t* config = nullptr;
  ucs_status_t status = ucx_.ucp_config_read(nullptr, nullptr, &config);
  if (status != UCS_OK) return ucx_failure(ucx_, "UCX does not take its configuration", status);
  for (const Option& option : kOptions)
    if (getenv(option.variable) == nullptr && has_a_use(option))
      ucx_.ucp_config_modify(config, option.name, option.value);
  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_ESTIMATED_NUM_EPS;
  params.features = UCP_FEATURE_AM | UCP_FEATURE_RMA | UCP_FEATURE_WAKEUP;
  params.estimated_num_eps = peers;
  status = ucx_.ucp_init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &context_);
  ucx_.ucp_config_release(config);
  if (status != UCS_OK) return ucx_failure(ucx_, "UCX finds nothing to use", status);

  ucp_worker_params_t worker{};
  worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  worker.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  status = ucx_.ucp_worker_create(context_, &worker, &worker_);
  if (status != UCS_OK) return ucx_failure(ucx_, "UCX makes no worker", status);
  ucp_worker_attr_t attributes{};
  attributes.field_mask = UCP_WORKER_ATTR_FIELD_THREAD_MODE;
  status = ucx_.ucp_worker_query(worker_, &attributes);
  if (status != UCS_OK || attributes.thread_mode < UCS_THREAD_MODE_SERIALIZED)
    return fail(Code::unavailable, "this UCX is built for one thread only");
  status = ucx_.ucp_worker_get_efd(worker_, &fd_);
  if (status != UCS_OK) return ucx_failure(ucx_, "UCX cannot wake who sleeps", status);
  return {};
}

std::vector<std::byte> UcxWorker::address() const {
  ucp_address_t* address = nullptr;
  size_t bytes = 0;
  if (ucx_.ucp_worker_get_address(worker_, &address, &bytes) != UCS_OK) return {};
  const auto* begin = reinterpret_cast<const std::byte*>(address);
  std::vector<std::byte> copy(begin, begin + bytes);
  ucx_.ucp_worker_release_address(worker_, address);
  return copy;
}

ucp_mem_h UcxWorker::register_memory(std::span<std::byte> memory) {
  ucp_mem_map_params_t params{};
  params.field_mask =
      UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH | UCP_MEM_MAP_PARAM_FIELD_MEMORY_TYPE;
  params.address = memory.data();
  params.length = memory.size();
  params.memory_type = UCS_MEMORY_TYPE_HOST;
  ucp_mem_h handle = nullptr;
  return ucx_.ucp_mem_map(context_, &params, &handle) == UCS_OK ? handle : nullptr;
}

void UcxWorker::forget_memory(ucp_mem_h memory) {
  if (memory != nullptr) ucx_.ucp_mem_unmap(context_, memory);
}

std::vector<std::string> UcxWorker::memory_kinds() const {
  ucp_context_attr_t attributes{};
  attributes.field_mask = UCP_ATTR_FIELD_MEMORY_TYPES;
  if (ucx_.ucp_context_query(context_, &attributes) != UCS_OK) return {};
  static constexpr std::pair<ucs_memory_type_t, const char*> kKinds[] = {
      {UCS_MEMORY_TYPE_HOST, "host"},
      {UCS_MEMORY_TYPE_CUDA, "cuda"},
      {UCS_MEMORY_TYPE_CUDA_MANAGED, "cuda-managed"},
      {UCS_MEMORY_TYPE_ROCM, "rocm"},
      {UCS_MEMORY_TYPE_ROCM_MANAGED, "rocm-managed"}};
  std::vector<std::string> kinds;
  for (const auto& [type, name] : kKinds)
    if (attributes.memory_types & UCS_BIT(type)) kinds.emplace_back(name);
  return kinds;
}

std::vector<std::string> UcxWorker::resources() const {
  const std::string text = ucx_printed([&](FILE* stream) { ucx_.ucp_context_print_info(context_, stream); });
  // "#      resource 1  :  md 1  dev 1  flags -- tcp/lo"
  std::vector<std::string> names;
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const size_t name = line.rfind(' ');
    if (line.find(" resource ") != std::string::npos && name != std::string::npos)
      names.push_back(line.substr(name + 1));
  }
  return names;
}

}  // namespace weft

#endif  // WEFT_HAVE_UCX
