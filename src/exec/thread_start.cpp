#include "exec/thread_start.hpp"

#include "trace/nvtx.hpp"

#include <pthread.h>

#include <atomic>

namespace penstock::exec {
namespace {

constinit std::atomic<void (*)()> start_hook{nullptr};

}  // namespace

void set_thread_start_hook(void (*hook)()) { start_hook.store(hook); }

void begin_thread(const char* name) noexcept {
  pthread_setname_np(pthread_self(), name);
  trace::name_thread(name);
  if (auto* hook = start_hook.load()) hook();
}

}  // namespace penstock::exec
