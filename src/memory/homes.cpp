#include "memory/homes.hpp"

#include "base/throw.hpp"
#include "exec/fork.hpp"

namespace penstock::memory {
namespace {

constexpr std::uint32_t kCaches = 65;

// The homes that a thread works with; it gives them up when it ends.
struct ThreadHomes {
  std::array<Home*, kCaches> homes{};
  ~ThreadHomes() {
    if (exec::forked()) return;
    for (Home* home : homes) {
      if (home == nullptr) continue;
      const std::lock_guard guard(home->lock);
      home->in_use = false;
    }
  }
};

thread_local ThreadHomes thread_homes;

}  // namespace

Home& Homes::of(const order::Slot& slot) {
  auto& chunk_entry = by_slot_[slot.index() / kChunk];
  Chunk* chunk = chunk_entry.load(std::memory_order_acquire);
  if (chunk != nullptr) {
    Home* home = (*chunk)[slot.index() % kChunk].load(std::memory_order_acquire);
    if (home != nullptr) return *home;
  }
  const std::lock_guard guard(mutex_);
  chunk = chunk_entry.load();
  if (chunk == nullptr) chunk_entry.store(chunk = new Chunk{}, std::memory_order_release);
  auto& entry = (*chunk)[slot.index() % kChunk];
  if (entry.load() == nullptr) entry.store(&add(), std::memory_order_release);
  return *entry.load();
}

Home& Homes::of_thread() {
  Home*& home = thread_homes.homes[cache_index_];
  if (home == nullptr) home = &adopt();
  return *home;
}

Home& Homes::adopt() {
  exec::note_caller();
  const std::lock_guard guard(mutex_);
  for (Home* home : of_threads_) {
    const std::lock_guard home_guard(home->lock);
    if (home->in_use) continue;
    home->in_use = true;
    return *home;
  }
  Home& home = add();
  home.in_use = true;
  of_threads_.push_back(&home);
  return home;
}

// Under mutex_.
Home& Homes::add() {
  const std::uint32_t index = count_.load();
  if (index == kMost)
    throw_error<Error>("memory: {} threads and streams allocate; too many", index);
  all_[index].store(new Home, std::memory_order_release);
  count_.store(index + 1, std::memory_order_release);
  return *all_[index].load();
}

}  // namespace penstock::memory
