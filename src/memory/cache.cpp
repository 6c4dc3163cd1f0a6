#include "memory/cache.hpp"

#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"
#include "memory/release_gate.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::memory {
namespace {

// Blocks of a list that one allocation looks at.
constexpr int kLook = 8;

std::atomic<void (*)()> pressure_hook{nullptr};

std::int64_t default_limit(Device device) {
  const backend::MemoryInfo info = backend::of(device).memory_info(device.index);
  const std::int64_t share = info.total_bytes / (device.is_cpu() ? 4 : 2);
  return std::min(share, info.free_bytes / 10 * 9);
}

std::int64_t bytes_of(std::uint32_t size_class) {
  return static_cast<std::int64_t>(class_bytes(size_class));
}

void raise_to(std::atomic<std::int64_t>& value, std::int64_t at_least) {
  std::int64_t seen = value.load();
  while (seen < at_least && !value.compare_exchange_weak(seen, at_least)) {
  }
}

}  // namespace

Cache& Cache::of(Device device) {
  static std::array<std::atomic<Cache*>, 65> caches{};
  static std::mutex mutex;
  const std::uint32_t index = device.is_cpu() ? 0 : static_cast<std::uint32_t>(device.index) + 1;
  if (index >= caches.size()) throw_error<DeviceError>("memory: no device {}", device.str());
  Cache* cache = caches[index].load(std::memory_order_acquire);
  if (cache != nullptr) return *cache;
  const std::lock_guard guard(mutex);
  if (caches[index].load() == nullptr) {
    caches[index].store(new Cache(device, index), std::memory_order_release);
  }
  return *caches[index].load();
}

Cache::Cache(Device device, std::uint32_t index)
    : device_(device),
      heap_(backend::of(device), device.index,
            device.is_cpu() ? backend::MemoryKind::host : backend::MemoryKind::device),
      homes_(index),
      limit_(default_limit(device)) {}

Home& Cache::home_of(const order::Stream* stream) {
  return stream == nullptr ? homes_.of_thread() : homes_.of(stream->slot());
}

Ref<Block> Cache::allocate(std::size_t bytes, order::Stream* stream) {
  exec::throw_if_forked("allocate");
  if (bytes > kLargest) {
    throw_error<OutOfMemory>("allocate: {} bytes is more than any device has", bytes);
  }
  const std::uint32_t wanted = size_class(bytes);
  const order::Slot* slot = stream == nullptr ? nullptr : &stream->slot();
  Home& home = home_of(stream);
  Block* block = nullptr;
  {
    const std::lock_guard guard(home.lock);
    home.sort_returned();
    block = take(home, wanted, slot);
  }
  if (block == nullptr) block = steal(home, wanted, slot);
  if (block != nullptr) return hand_out(*block, home, stream);
  return grow(wanted, home);
}

// A block of the list that may be used on the slot's stream (or by the host) with no wait. Under the
// home's lock. Blocks that are not ready get a mark, so that they will be some day.
Block* Cache::take(Home& home, std::uint32_t size_class, const order::Slot* slot) {
  Block** link = &home.bins[size_class];
  for (int looked = 0; *link != nullptr && looked < kLook; ++looked) {
    Block* block = *link;
    order::Uses& uses = block->uses_;
    const bool ready =
        uses.empty() || (slot != nullptr && uses.covered_by(*slot)) || uses.prune();
    if (ready) {
      *link = block->next_;
      return block;
    }
    uses.mark_all();
    link = &block->next_;
  }
  return nullptr;
}

Block* Cache::steal(const Home& own, std::uint32_t size_class, const order::Slot* slot) {
  Block* block = nullptr;
  homes_.for_each([&](Home& home) {
    if (block != nullptr || &home == &own) return;
    const std::lock_guard guard(home.lock);
    home.sort_returned();
    block = take(home, size_class, slot);
  });
  if (block != nullptr) steals_.fetch_add(1, std::memory_order_relaxed);
  return block;
}

Ref<Block> Cache::hand_out(Block& block, Home& home, order::Stream* stream) {
  home.hits.fetch_add(1, std::memory_order_relaxed);
  if (block.epoch_ == epoch_.load(std::memory_order_relaxed)) {
    home.taken_bytes.fetch_add(static_cast<std::int64_t>(block.bytes_), std::memory_order_relaxed);
  }
  block.home_ = &home;
  block.is_idle_.store(false, std::memory_order_relaxed);
  // Whoever comes on another stream still has to wait for the last owner's work.
  block.uses_.merge_into_writes();
  if (block.shadow_) {
    for (const auto& position : order::check::conflicts(*block.shadow_, true)) {
      if (stream != nullptr && stream->actor() != nullptr) {
        order::check::wait(*stream->actor(), position);
      } else {
        order::check::host_wait(position);
      }
    }
    block.shadow_->accesses.clear();
  }
  block.reset_refs();
  return Ref<Block>::adopt(&block);
}

Ref<Block> Cache::grow(std::uint32_t size_class, Home& home) {
  misses_.fetch_add(1, std::memory_order_relaxed);
  const std::int64_t bytes = bytes_of(size_class);
  auto block = Ref<Block>::adopt(new Block);
  block->bytes_ = static_cast<std::size_t>(bytes);
  block->device_ = device_;
  block->kind_ = device_.is_cpu() ? backend::MemoryKind::host : backend::MemoryKind::device;
  block->size_class_ = size_class;
  block->home_ = &home;

  const std::uint32_t epoch = reserve(bytes);
  Piece piece;
  try {
    piece = carve(size_class);
  } catch (...) {
    unreserve(bytes, epoch);
    throw;
  }
  block->data_ = piece.data;
  block->slab_ = piece.slab;
  block->cache_ = this;
  const std::lock_guard guard(mutex_);
  if (epoch != epoch_.load()) return block;
  block->epoch_ = epoch;
  block->member_index_ = members_.size();
  members_.push_back(block.get());
  blocks_.fetch_add(1);
  home.taken_bytes.fetch_add(bytes, std::memory_order_relaxed);
  return block;
}

// Counts `bytes` more, with idle blocks evicted as needed, and returns the epoch; 0 if they don't fit
// under the limit: then the block is no member.
std::uint32_t Cache::reserve(std::int64_t bytes) {
  const std::lock_guard guard(mutex_);
  const std::int64_t most = limit_.load();
  if (bytes > most) return 0;
  const auto excess = [&] { return total_.load() + bytes - most; };
  if (excess() > 0) evict(excess(), false);
  if (excess() > 0) evict(excess(), true);
  if (excess() > 0) return 0;
  raise_to(peak_, total_.fetch_add(bytes) + bytes);
  return epoch_.load();
}

void Cache::unreserve(std::int64_t bytes, std::uint32_t epoch) {
  const std::lock_guard guard(mutex_);
  if (epoch != 0 && epoch == epoch_.load()) total_.fetch_sub(bytes);
}

// Idle blocks go first, then those whose work is not over yet, then the hook may free something.
Piece Cache::carve(std::uint32_t size_class) {
  for (int attempt = 0;; ++attempt) {
    try {
      return heap_.carve(size_class);
    } catch (const OutOfMemory& error) {
      if (attempt == 3) out_of_memory(bytes_of(size_class), error.what());
      auto* hook = pressure_hook.load();
      if (attempt == 2 && hook != nullptr) hook();
      const std::lock_guard guard(mutex_);
      evict(INT64_MAX, attempt > 0);
    }
  }
}

// Frees idle blocks, those unused for longest first, until `bytes` are free; with `wait` also those
// whose work is not over yet. Returns what it freed. Under mutex_.
std::int64_t Cache::evict(std::int64_t bytes, bool wait) {
  std::vector<Block*> idle;
  homes_.for_each([&](Home& home) {
    const std::lock_guard guard(home.lock);
    home.sort_returned();
    for (Block* block : home.bins) {
      for (; block != nullptr; block = block->next_) idle.push_back(block);
    }
  });
  std::sort(idle.begin(), idle.end(),
            [](const Block* a, const Block* b) { return a->freed_at_ < b->freed_at_; });
  std::int64_t freed = 0;
  for (Block* block : idle) {
    if (freed >= bytes) break;
    if (!unlink(*block, wait)) continue;
    if (wait && !block->is_complete(true)) {
      waits_.fetch_add(1, std::memory_order_relaxed);
      wait_for(*block);
    }
    freed += static_cast<std::int64_t>(block->bytes_);
    evictions_.fetch_add(1, std::memory_order_relaxed);
    remove_member(*block);
    destroy(*block);
    delete block;
  }
  return freed;
}

// Takes an idle block out of its list; false if somebody was quicker, or if it is not complete.
bool Cache::unlink(Block& block, bool even_incomplete) {
  Home& home = *block.home_;
  const std::lock_guard guard(home.lock);
  for (Block** link = &home.bins[block.size_class_]; *link != nullptr; link = &(*link)->next_) {
    if (*link != &block) continue;
    if (!even_incomplete && !block.uses_.prune()) return false;
    *link = block.next_;
    return true;
  }
  return false;
}

// An error of that work is not this caller's: it comes out at the next synchronisation.
void Cache::wait_for(Block& block) {
  order::Points points;
  block.collect(true, points);
  for (const order::Point& point : points) {
    if (const auto mark = order::mark_of(point)) {
      static_cast<void>(mark->backend().sync(mark->event(), kNever));
    }
  }
}

// Under mutex_.
void Cache::remove_member(Block& block) {
  if (block.epoch_ != epoch_.load()) return;
  total_.fetch_sub(static_cast<std::int64_t>(block.bytes_));
  blocks_.fetch_sub(1);
  members_[block.member_index_] = members_.back();
  members_[block.member_index_]->member_index_ = block.member_index_;
  members_.pop_back();
}

bool Cache::take_back(Block& block) {
  if (block.epoch_ != epoch_.load(std::memory_order_relaxed)) return false;
  Home& home = *block.home_;
  block.freed_at_ = ticks();
  block.is_idle_.store(true, std::memory_order_relaxed);
  home.returned_bytes.fetch_add(static_cast<std::int64_t>(block.bytes_),
                                std::memory_order_relaxed);
  home.push(block);
  if (total_.load(std::memory_order_relaxed) > limit_.load(std::memory_order_relaxed)) {
    const std::lock_guard guard(mutex_);
    evict(total_.load() - limit_.load(), false);
  }
  return true;
}

void Cache::destroy(Block& block) { heap_.give_back({block.data_, block.slab_}); }

void Cache::set_limit(std::int64_t bytes) {
  if (bytes < 0) throw_error<Error>("set_limit: {} bytes is negative", bytes);
  limit_.store(bytes);
  const std::lock_guard guard(mutex_);
  if (total_.load() > bytes) evict(total_.load() - bytes, false);
}

void Cache::clear() {
  const std::lock_guard guard(mutex_);
  const std::int64_t evictions = evictions_.load();
  evict(INT64_MAX, false);
  evictions_.store(evictions);
  // What lives on, or is not complete yet, is no member from now on.
  epoch_.fetch_add(1);
  members_.clear();
  total_.store(0);
  blocks_.store(0);
  live_before_clear_.store(live_bytes());
  free_stale();
}

void Cache::trim(std::int64_t idle_bytes) {
  if (idle_bytes < 0) throw_error<Error>("trim: {} bytes is negative", idle_bytes);
  const std::lock_guard guard(mutex_);
  const std::int64_t idle = total_.load() - (live_bytes() - live_before_clear_.load());
  if (idle > idle_bytes) evict(idle - idle_bytes, false);
}

// Idle blocks that were not complete when the cache was cleared. Under mutex_.
void Cache::free_stale() {
  std::vector<Block*> stale;
  homes_.for_each([&](Home& home) {
    const std::lock_guard guard(home.lock);
    home.sort_returned();
    for (Block*& head : home.bins) {
      for (Block* block = std::exchange(head, nullptr); block != nullptr; block = block->next_) {
        stale.push_back(block);
      }
    }
  });
  for (Block* block : stale) release_when_complete(*block);
}

std::int64_t Cache::live_bytes() {
  std::int64_t live = 0;
  homes_.for_each([&](Home& home) { live += home.taken_bytes.load() - home.returned_bytes.load(); });
  return live;
}

Stats Cache::stats() {
  const std::lock_guard guard(mutex_);
  Stats stats;
  homes_.for_each([&](Home& home) { stats.hits += home.hits.load(); });
  stats.misses = misses_.load();
  stats.bytes_live = live_bytes() - live_before_clear_.load();
  stats.bytes_idle = total_.load() - stats.bytes_live;
  stats.bytes_peak = peak_.load();
  stats.blocks = blocks_.load();
  stats.waits = waits_.load();
  stats.steals = steals_.load();
  stats.evictions = evictions_.load();
  return stats;
}

std::vector<BlockInfo> Cache::snapshot() {
  const std::lock_guard guard(mutex_);
  std::vector<BlockInfo> blocks;
  blocks.reserve(members_.size());
  for (const Block* block : members_) {
    blocks.push_back({static_cast<std::int64_t>(block->bytes_), !block->is_idle_.load(),
                      reinterpret_cast<std::uintptr_t>(block->data_)});
  }
  return blocks;
}

void Cache::add_describer(std::function<std::string()> describer) {
  const std::lock_guard guard(mutex_);
  describers_.push_back(std::move(describer));
}

void Cache::set_pressure_hook(void (*hook)()) { pressure_hook.store(hook); }

void Cache::out_of_memory(std::int64_t bytes, const char* reason) {
  const std::lock_guard guard(mutex_);
  const std::int64_t live = live_bytes() - live_before_clear_.load();
  std::string text = fmt::format(
      "allocate: {} bytes on {}: {}; Penstock holds {} bytes live in {} blocks and {} idle", bytes,
      device_.str(), reason, live, blocks_.load(), total_.load() - live);
  for (const auto& describer : describers_) text += "; " + describer();
  throw OutOfMemory(text + "; drop tensors, lower the number of frames in flight, or use smaller ones");
}

std::int64_t limit(Device device) { return Cache::of(device).limit(); }
void set_limit(std::int64_t bytes, Device device) { Cache::of(device).set_limit(bytes); }
Stats stats(Device device) { return Cache::of(device).stats(); }
void clear(Device device) { Cache::of(device).clear(); }
void trim(std::int64_t bytes, Device device) { Cache::of(device).trim(bytes); }
void reset_peak(Device device) { Cache::of(device).reset_peak(); }
std::vector<BlockInfo> snapshot(Device device) { return Cache::of(device).snapshot(); }

}  // namespace penstock::memory
