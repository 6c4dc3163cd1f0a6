#include "exec/thread_start.hpp"

#include "trace/nvtx.hpp"

#include <pthread.h>

namespace penstock::exec {

void begin_thread(const char* name) noexcept {
  pthread_setname_np(pthread_self(), name);
  trace::name_thread(name);
}

}  // namespace penstock::exec
