#include "kernels/isa.h"

#include <array>
#include <atomic>
#include <cstring>

#include "kernels/table.h"

namespace weft::kernels {

namespace {

struct Choices {
  std::array<const KernelTable*, 8> tables{};
  std::array<const char*, 8> names{};
  size_t count = 0;

  void add(const KernelTable* table) {
    if (count == tables.size()) return;
    tables[count] = table;
    names[count++] = table->name;
  }
};

const Choices& choices() {
  static const Choices all = [] {
    Choices found;
#ifdef WEFT_HAVE_HWY
    for (const KernelTable* table : simd_tables()) {
      if (found.count + 1 < found.tables.size()) found.add(table);
    }
#endif
    found.add(&kScalarTable);
    return found;
  }();
  return all;
}

// The tables are constant, so the pointer alone needs publishing: relaxed order is enough.
std::atomic<const KernelTable*> chosen{nullptr};

}  // namespace

const KernelTable& active() {
  const KernelTable* table = chosen.load(std::memory_order_relaxed);
  if (table == nullptr) {
    const KernelTable* best = choices().tables[0];
    // Only if nobody has forced another one meanwhile.
    if (chosen.compare_exchange_strong(table, best, std::memory_order_relaxed)) table = best;
  }
  return *table;
}

const char* isa_name() { return active().name; }

std::span<const char* const> isa_names() { return {choices().names.data(), choices().count}; }

bool force_isa(const char* name) {
  const Choices& all = choices();
  for (size_t i = 0; i < all.count; ++i) {
    if (name == nullptr || std::strcmp(all.names[i], name) == 0) {
      chosen.store(all.tables[i], std::memory_order_relaxed);
      return true;
    }
  }
  return false;
}

void force_scalar(bool on) { force_isa(on ? "scalar" : nullptr); }

}  // namespace weft::kernels
