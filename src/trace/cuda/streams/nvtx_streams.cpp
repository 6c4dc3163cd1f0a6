// Apart, because it needs CUDA's own headers, which a build without CUDA does not have.
#include "trace/nvtx.hpp"

#include <nvtx3/nvToolsExtCudaRt.h>

namespace penstock::trace {

void name_stream(std::uintptr_t stream, const std::string& name) {
  nvtxNameCudaStreamA(reinterpret_cast<cudaStream_t>(stream), name.c_str());
}

}  // namespace penstock::trace
