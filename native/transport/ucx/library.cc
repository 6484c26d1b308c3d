#include "transport/ucx/library.h"

#if WEFT_HAVE_UCX

#include <dlfcn.h>
#include <signal.h>

#include <cstdlib>

namespace weft {

namespace {

constexpr unsigned kOldestMajor = 1, kOldestMinor = 13;

// UCX takes over the signals of a crash as soon as it is loaded, to print a backtrace of its own and abort,
// and gives the loading thread another signal stack. Neither is a library's business, unless the user asks
// UCX for it. Setting the variable for it would be a race with whoever reads the environment.
class SignalsKept {
 public:
  SignalsKept() : wanted_(getenv("UCX_HANDLE_ERRORS") == nullptr && getenv("UCX_ERROR_SIGNALS") == nullptr) {
    for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], nullptr, &actions_[i]);
    sigaltstack(nullptr, &stack_);
  }
  ~SignalsKept() {
    if (!wanted_) return;
    for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &actions_[i], nullptr);
    sigaltstack(&stack_, nullptr);
  }
  SignalsKept(const SignalsKept&) = delete;

 private:
  static constexpr int kSignals[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGABRT};
  bool wanted_;
  struct sigaction actions_[std::size(kSignals)];
  stack_t stack_;
};

Expected<UcxLibrary> load() {
  SignalsKept signals;
  // UCX would rewrite munmap, madvise and others of libc while threads run in them, which ends a Node process
  // now and then in its garbage collector. It reads this as it is loaded; memory that matters we register
  // ourselves.
  const bool ours = getenv("UCX_MEM_EVENTS") == nullptr;
  if (ours) setenv("UCX_MEM_EVENTS", "n", 1);
  void* handle = dlopen("libucp.so.0", RTLD_NOW | RTLD_LOCAL);
  if (ours) unsetenv("UCX_MEM_EVENTS");
  if (handle == nullptr)
    return fail(Code::unavailable, std::string("no UCX library (package libucx0): ") + dlerror());
  UcxLibrary library{};
  // What libucp needs of libucs is found by its handle too.
#define WEFT_UCX_LOAD(name)                                                      \
  library.name = reinterpret_cast<decltype(library.name)>(dlsym(handle, #name)); \
  if (library.name == nullptr)                                                   \
    return fail(Code::unavailable, "the UCX library lacks " #name ", it is too old (package libucx0)");
  WEFT_UCX_FUNCTIONS(WEFT_UCX_LOAD)
#undef WEFT_UCX_LOAD
  unsigned major = 0, minor = 0, release = 0;
  library.ucp_get_version(&major, &minor, &release);
  if (major != kOldestMajor || minor < kOldestMinor)
    return fail(Code::unavailable, std::string("UCX ") + library.ucp_get_version_string() +
                                       " is installed, and 1.13 or a later 1.x is needed");
  return library;
}

}  // namespace

Expected<const UcxLibrary*> ucx_library() {
  static const Expected<UcxLibrary> library = load();
  if (!library) return std::unexpected(library.error());
  return &*library;
}

std::unexpected<Error> ucx_failure(const UcxLibrary& ucx, std::string what, ucs_status_t status) {
  return fail(Code::unavailable, std::move(what) + ": " + ucx.ucs_status_string(status));
}

}  // namespace weft

#endif  // WEFT_HAVE_UCX
