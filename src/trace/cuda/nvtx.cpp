#include "trace/nvtx.hpp"

#include <nvtx3/nvToolsExt.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <map>
#include <mutex>

namespace penstock::trace {
namespace {

// Without a tool NVTX gives an empty handle.
nvtxDomainHandle_t domain() {
  static const nvtxDomainHandle_t ours = nvtxDomainCreateA("penstock");
  return ours;
}

}  // namespace

bool has_nvtx() { return true; }

RangeName range_name(const std::string& name) {
  if (domain() == nullptr) return nullptr;
  static std::mutex mutex;
  static auto* names = new std::map<std::string, RangeName>;
  const std::lock_guard guard(mutex);
  RangeName& handle = (*names)[name];
  if (handle == nullptr) handle = nvtxDomainRegisterStringA(domain(), name.c_str());
  return handle;
}

void name_thread(const char* name) {
  if (domain() == nullptr) return;
  nvtxNameOsThreadA(static_cast<std::uint32_t>(syscall(SYS_gettid)), name);
}

void begin_range(RangeName name) {
  nvtxEventAttributes_t event{};
  event.version = NVTX_VERSION;
  event.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  event.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
  event.message.registered = static_cast<nvtxStringHandle_t>(name);
  nvtxDomainRangePushEx(domain(), &event);
}

void end_range() { nvtxDomainRangePop(domain()); }

}  // namespace penstock::trace
