// UCX as a table of its functions, loaded when it is first wanted: a program that never asks for the ucx
// transport has nothing of it, and one build runs with and without it.
#pragma once

// Without headers the transport is built as one that says so.
#if __has_include(<ucp/api/ucp.h>)
#include <ucp/api/ucp.h>
#define WEFT_HAVE_UCX 1
#else
#define WEFT_HAVE_UCX 0
#endif

#if WEFT_HAVE_UCX

#include <string>

#include "core/status.h"

namespace weft {

// clang-format off
#define WEFT_UCX_FUNCTIONS(F) \
  F(ucp_get_version) \
  F(ucp_get_version_string) \
  F(ucp_config_read) \
  F(ucp_config_modify) \
  F(ucp_config_release) \
  F(ucp_init_version) \
  F(ucp_cleanup) \
  F(ucp_context_print_info) \
  F(ucp_context_query) \
  F(ucp_mem_map) \
  F(ucp_mem_unmap) \
  F(ucp_worker_create) \
  F(ucp_worker_destroy) \
  F(ucp_worker_query) \
  F(ucp_worker_get_address) \
  F(ucp_worker_release_address) \
  F(ucp_worker_get_efd) \
  F(ucp_worker_arm) \
  F(ucp_worker_progress) \
  F(ucp_worker_set_am_recv_handler) \
  F(ucp_ep_create) \
  F(ucp_ep_close_nbx) \
  F(ucp_ep_flush_nbx) \
  F(ucp_ep_print_info) \
  F(ucp_am_send_nbx) \
  F(ucp_am_recv_data_nbx) \
  F(ucp_am_data_release) \
  F(ucp_request_check_status) \
  F(ucp_request_free) \
  F(ucs_status_string)
// clang-format on

struct UcxLibrary {
#define WEFT_UCX_MEMBER(name) decltype(&::name) name;
  WEFT_UCX_FUNCTIONS(WEFT_UCX_MEMBER)
#undef WEFT_UCX_MEMBER
};

// Loads the library at the first call; the outcome stays. Never unloaded: it leaves threads and hooks behind.
Expected<const UcxLibrary*> ucx_library();

// "what: UCX's own words".
std::unexpected<Error> ucx_failure(const UcxLibrary& ucx, std::string what, ucs_status_t status);

}  // namespace weft

#endif  // WEFT_HAVE_UCX
