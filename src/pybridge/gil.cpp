#include "pybridge/gil.hpp"

#include <unistd.h>

#include <atomic>
#include <thread>

namespace penstock::pybridge {
namespace {

std::atomic<bool> ending{false};
std::atomic<std::thread::id> ending_thread;

}  // namespace

void begin_end() {
  ending_thread.store(std::this_thread::get_id());
  ending.store(true);
}

void stop_here_at_end() {
  if (ending.load(std::memory_order_relaxed) &&
      ending_thread.load() != std::this_thread::get_id()) {
    sleep_for_good();
  }
}

void sleep_for_good() {
  while (true) pause();
}

}  // namespace penstock::pybridge
