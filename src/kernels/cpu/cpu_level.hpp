// Which instruction set the CPU kernels use. All levels give the same bits, so the choice is only
// about speed; tests pass a level explicitly to compare them.
// Dispatch is a function pointer table and not ifunc, which runs before a sanitizer is ready.
#pragma once

namespace penstock::kernels {

/// Instruction sets in ascending order; `portable` is plain C++ and exists everywhere.
enum class CpuLevel { portable, sse41, avx2 };

/// The highest level that this machine and operating system can run; thread-safe, cached.
[[nodiscard]] CpuLevel best_cpu_level();

}  // namespace penstock::kernels
