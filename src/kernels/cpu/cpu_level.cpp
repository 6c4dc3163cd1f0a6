#include "kernels/cpu/cpu_level.hpp"

#include <cassert>

#include "kernels/cpu/row_kernels.hpp"

namespace penstock::kernels {

#if defined(__x86_64__)

CpuLevel best_cpu_level() {
  static const CpuLevel level = __builtin_cpu_supports("avx2")     ? CpuLevel::avx2
                                : __builtin_cpu_supports("sse4.1") ? CpuLevel::sse41
                                                                   : CpuLevel::portable;
  return level;
}

const RowKernels& row_kernels(CpuLevel level) {
  assert(level <= best_cpu_level());
  switch (level) {
    case CpuLevel::avx2:
      return detail::kAvx2RowKernels;
    case CpuLevel::sse41:
      return detail::kSse41RowKernels;
    case CpuLevel::portable:
      break;
  }
  return detail::kPortableRowKernels;
}

#else

CpuLevel best_cpu_level() { return CpuLevel::portable; }

const RowKernels& row_kernels(CpuLevel) { return detail::kPortableRowKernels; }

#endif

}  // namespace penstock::kernels
