// In a file of its own: inlined into a user, new and free would look mismatched to the compiler.
#include "count_allocations.hpp"

#include <cstdlib>
#include <new>

namespace penstock::test {
std::atomic<std::int64_t> allocations{0};
}

void* operator new(std::size_t size) {
  penstock::test::allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
