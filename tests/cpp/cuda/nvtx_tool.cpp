// A tool as NVTX loads it by NVTX_INJECTION64_PATH: writes what it is told into the file
// NVTX_TOOL_LOG, a line each: "THREAD push NAME", "THREAD pop", "THREAD thread NAME". It has no
// variables of a thread: LeakSanitizer can crash on those of a library that is loaded late.
#include <fcntl.h>
#include <nvtx3/nvToolsExt.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

void log(long thread, const char* what, const char* name) {
  static const int file = open(std::getenv("NVTX_TOOL_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0644);
  char line[256];
  const int length = std::snprintf(line, sizeof line, "%ld %s %s\n", thread, what, name);
  if (write(file, line, static_cast<std::size_t>(length)) != length) std::abort();
}

nvtxDomainHandle_t create_domain(const char* name) {
  return reinterpret_cast<nvtxDomainHandle_t>(strdup(name));
}
nvtxStringHandle_t register_string(nvtxDomainHandle_t, const char* text) {
  log(0, "register", text);
  return reinterpret_cast<nvtxStringHandle_t>(strdup(text));
}
int push(nvtxDomainHandle_t, const nvtxEventAttributes_t* event) {
  if (event->messageType != NVTX_MESSAGE_TYPE_REGISTERED) std::abort();
  log(syscall(SYS_gettid), "push", reinterpret_cast<const char*>(event->message.registered));
  return NVTX_NO_PUSH_POP_TRACKING;
}
int pop(nvtxDomainHandle_t) {
  log(syscall(SYS_gettid), "pop", "");
  return NVTX_NO_PUSH_POP_TRACKING;
}
void name_thread(std::uint32_t thread, const char* name) { log(thread, "thread", name); }

template <class Function>
NvtxFunctionPointer pointer(Function* function) {
  return reinterpret_cast<NvtxFunctionPointer>(function);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(
    NvtxGetExportTableFunc_t get_table) {
  const auto* table = static_cast<const NvtxExportTableCallbacks*>(get_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable core = nullptr;
  NvtxFunctionTable core2 = nullptr;
  unsigned int size = 0;
  if (table == nullptr || table->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &core, &size) == 0) {
    return 0;
  }
  if (table->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &core2, &size) == 0) return 0;
  *core[NVTX_CBID_CORE_NameOsThreadA] = pointer(name_thread);
  *core2[NVTX_CBID_CORE2_DomainCreateA] = pointer(create_domain);
  *core2[NVTX_CBID_CORE2_DomainRegisterStringA] = pointer(register_string);
  *core2[NVTX_CBID_CORE2_DomainRangePushEx] = pointer(push);
  *core2[NVTX_CBID_CORE2_DomainRangePop] = pointer(pop);
  return 1;
}
