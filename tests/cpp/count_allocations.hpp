// Counts what the whole program takes from the heap by operator new.
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock::test {
extern std::atomic<std::int64_t> allocations;
}
