#include "transport/verbs/library.h"

#if WEFT_HAVE_VERBS
#include <dlfcn.h>

#include <type_traits>
#endif

namespace weft::verbs {

#if WEFT_HAVE_VERBS

namespace {

Expected<Library> load() {
  void* handle = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr)
    return fail(Code::unavailable,
                "libibverbs.so.1 could not be loaded: apt-get install libibverbs1 ibverbs-providers");
  Library library;
  const char* missing = nullptr;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(handle, name));
    if (function == nullptr) missing = name;
  };
#define F(name) find(library.name, #name);
  WEFT_VERBS_FUNCTIONS(F)
#undef F
  if (missing != nullptr) return fail(Code::unavailable, std::string("libibverbs has no ") + missing);
  find(library.ibv_reg_dmabuf_mr, "ibv_reg_dmabuf_mr");
  return library;
}

}  // namespace

int query_port(const Library& library, ibv_context* context, uint8_t port, ibv_port_attr& attributes) {
  attributes = {};
  if (verbs_context* newer = verbs_get_ctx_op(context, query_port))
    return newer->query_port(context, port, &attributes, sizeof attributes);
  return library.ibv_query_port(context, port, reinterpret_cast<_compat_ibv_port_attr*>(&attributes));
}

Expected<const Library*> library() {
  static const Expected<Library> loaded = load();
  if (!loaded) return std::unexpected(loaded.error());
  return &*loaded;
}

#else

Expected<const Library*> library() {
  return fail(Code::unavailable, "this build knows no RDMA: it was made without libibverbs-dev");
}

#endif

}  // namespace weft::verbs
