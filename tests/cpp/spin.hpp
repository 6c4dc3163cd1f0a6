// Kernels that take their time, for tests of order: each spins on the GPU's clock first, so whoever
// does not wait for it is seen. Queued on a native stream, with no word to Penstock. Stateless.
#pragma once

#include <cstdint>

namespace penstock::test {

/// 0.2 ms at 2 GHz.
inline constexpr long long kSlow = 400'000;

/// After so many cycles `count` numbers become `value`. `stream` is a cudaStream_t.
void spin_fill(std::uintptr_t stream, int* target, int value, int count, long long cycles);
/// After so many cycles adds 1 to `wrong` if any of the numbers is another.
void spin_check(std::uintptr_t stream, const int* source, int value, int count, long long cycles,
                int* wrong);

}  // namespace penstock::test
