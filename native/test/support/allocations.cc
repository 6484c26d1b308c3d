#include "support/allocations.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "support/scale.h"

namespace {
std::atomic<uint64_t> count{0};
void* counted(void* memory) {
  count.fetch_add(1, std::memory_order_relaxed);
  return memory;
}
}  // namespace

uint64_t weft::test::allocations() { return count.load(std::memory_order_relaxed); }

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)

// The sanitizers have malloc to themselves.
void* operator new(size_t size) { return counted(std::malloc(size)); }
void* operator new[](size_t size) { return counted(std::malloc(size)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

#else

// glibc's allocator under its other names; operator new comes by here too.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t n, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) { return counted(__libc_malloc(size)); }
void* calloc(size_t n, size_t size) { return counted(__libc_calloc(n, size)); }
void* realloc(void* memory, size_t size) { return counted(__libc_realloc(memory, size)); }
void* memalign(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }
void* aligned_alloc(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }
int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = counted(__libc_memalign(alignment, size));
  return *memory != nullptr ? 0 : ENOMEM;
}
}

#endif
