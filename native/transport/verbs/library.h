// rdma-core's libibverbs, loaded at run time: one build runs on machines with and without it. What is missing
// in the table is inline in verbs.h and goes through the tables of an open device.
#pragma once

#if __has_include(<infiniband/verbs.h>)
#define WEFT_HAVE_VERBS 1
#include <infiniband/verbs.h>
#undef ibv_reg_mr  // macros that would hide the functions of these names
#undef ibv_query_port
#else
#define WEFT_HAVE_VERBS 0
#endif

#include "core/status.h"

namespace weft::verbs {

#if WEFT_HAVE_VERBS

#define WEFT_VERBS_FUNCTIONS(F) \
  F(ibv_get_device_list)        \
  F(ibv_free_device_list)       \
  F(ibv_get_device_name)        \
  F(ibv_open_device)            \
  F(ibv_close_device)           \
  F(ibv_query_device)           \
  F(ibv_query_port)             \
  F(ibv_query_gid)              \
  F(ibv_alloc_pd)               \
  F(ibv_dealloc_pd)             \
  F(ibv_reg_mr)                 \
  F(ibv_dereg_mr)               \
  F(ibv_create_comp_channel)    \
  F(ibv_destroy_comp_channel)   \
  F(ibv_create_cq)              \
  F(ibv_destroy_cq)             \
  F(ibv_get_cq_event)           \
  F(ibv_ack_cq_events)          \
  F(ibv_create_srq)             \
  F(ibv_destroy_srq)            \
  F(ibv_create_qp)              \
  F(ibv_modify_qp)              \
  F(ibv_destroy_qp)

// `library.ibv_open_device(...)` and so on, by their own names.
struct Library {
#define F(name) decltype(&::name) name = nullptr;
  WEFT_VERBS_FUNCTIONS(F)
#undef F
  // Newer than the oldest library that serves; null there.
  decltype(&::ibv_reg_dmabuf_mr) ibv_reg_dmabuf_mr = nullptr;
};

// What verbs.h has as a macro, over the function of the same name or a newer one of the device.
int query_port(const Library& library, ibv_context* context, uint8_t port, ibv_port_attr& attributes);

#endif

// Loads it once. The error says what to install.
struct Library;
Expected<const Library*> library();

}  // namespace weft::verbs
