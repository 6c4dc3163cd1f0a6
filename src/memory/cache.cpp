#include "memory/cache.hpp"

#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::memory {
namespace {

// Blocks of a list that one allocation looks at: from the newest, which its own stream used last,
// and from the oldest, whose work is over first.
constexpr int kLookNewest = 8;
constexpr int kLookOldest = 2;

std::atomic<void (*)()> pressure_hook{nullptr};

thread_local std::int64_t allocated = 0;

std::int64_t default_limit(Device device) {
  const backend::MemoryInfo info = backend::of(device).memory_info(device.index);
  const std::int64_t share = info.total_bytes / (device.is_cpu() ? 4 : 2);
  return std::min(share, info.free_bytes / 10 * 9);
}

std::int64_t bytes_of(std::uint32_t size_class) {
  return static_cast<std::int64_t>(class_bytes(size_class));
}

}  // namespace

Cache& Cache::of(Device device) {
  static std::array<std::atomic<Cache*>, 65> caches{};
  static std::mutex mutex;
  const auto last = static_cast<std::int32_t>(caches.size()) - 2;
  if (!device.is_cpu() && (device.index < 0 || device.index > last)) {
    throw_error<DeviceError>("memory: no device {}", device.str());
  }
  const std::uint32_t index = device.is_cpu() ? 0 : static_cast<std::uint32_t>(device.index) + 1;
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

std::int64_t Cache::allocated_here() { return allocated; }

bool Cache::has_room(std::int64_t bytes) {
  if (limit_.load() - total_.load() >= bytes) return true;
  const std::lock_guard guard(mutex_);
  return limit_.load() - total_.load() + idle_bytes() >= bytes;
}

Home& Cache::home_of(const order::Stream* stream) {
  return stream == nullptr ? homes_.of_thread() : homes_.of(stream->slot());
}

Ref<Block> Cache::allocate(std::size_t bytes, order::Stream* stream) {
  exec::throw_if_forked("allocate");
  if (bytes > kLargest) {
    throw_error<OutOfMemory>("allocate: {} bytes is more than any device has", bytes);
  }
  const std::uint32_t wanted = size_class(bytes);
  allocated += bytes_of(wanted);
  const order::Slot* slot = stream == nullptr ? nullptr : &stream->slot();
  Home& home = home_of(stream);
  Block* block = nullptr;
  {
    const std::lock_guard guard(home.lock);
    home.sort_returned();
    block = take(home, wanted, slot);
  }
  if (block == nullptr) block = steal(home, wanted, slot);
  if (block != nullptr) return hand_out(*block, home);

  auto epoch = reserve(bytes_of(wanted), Pending::keep);
  if (!epoch && stream != nullptr) {
    block = take_over(wanted, *stream);
    if (block != nullptr) return hand_out(*block, home);
  }
  if (!epoch) epoch = reserve(bytes_of(wanted), Pending::evict);
  return grow(wanted, home, epoch.value_or(kNoMember));
}

// A block of the list that may be used on the slot's stream (or by the host) with no wait. Under
// the home's lock. Blocks that are not ready get a mark, so that they will be some day.
Block* Cache::take(Home& home, std::uint32_t size_class, const order::Slot* slot) {
  const Bin& bin = home.bins[size_class];
  const auto is_ready = [&](Block& block) {
    const order::Uses& uses = block.uses_;
    if (uses.empty() || (slot != nullptr && uses.covered_by(*slot)) || block.prune()) return true;
    uses.mark_all();
    return false;
  };
  Block* found = nullptr;
  Block* block = bin.newest;
  for (int i = 0; found == nullptr && block != nullptr && i < kLookNewest; ++i) {
    if (is_ready(*block)) found = block;
    block = block->older_;
  }
  if (found == nullptr && block != nullptr) {  // there are others: those that waited for longest
    block = bin.oldest;
    for (int i = 0; found == nullptr && block != nullptr && i < kLookOldest; ++i) {
      if (is_ready(*block)) found = block;
      block = block->newer_;
    }
  }
  if (found == nullptr) return nullptr;
  home.take_out(*found);
  ++home.hits;
  return found;
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

// An idle block whose work is not over: the stream waits for it, the host does not.
Block* Cache::take_over(std::uint32_t size_class, order::Stream& stream) {
  Block* block = nullptr;
  homes_.for_each([&](Home& home) {
    if (block != nullptr) return;
    const std::lock_guard guard(home.lock);
    home.sort_returned();
    block = home.bins[size_class].oldest;
    if (block == nullptr) return;
    home.take_out(*block);
    ++home.hits;
  });
  if (block == nullptr) return nullptr;
  block->wait_on(stream, true);
  steals_.fetch_add(1, std::memory_order_relaxed);
  waits_.fetch_add(1, std::memory_order_relaxed);
  return block;
}

// What was done with the block before says nothing about the order of anything else: the checker
// forgets it, and nobody's clock is raised.
Ref<Block> Cache::hand_out(Block& block, Home& home) {
  block.home_ = &home;
  block.is_idle_.store(false, std::memory_order_relaxed);
  // Whoever comes on another stream still has to wait for the last owner's work.
  if (!block.uses_.empty()) {
    const std::lock_guard guard(block.lock_);
    block.uses_.merge_into_writes();
  }
  if (block.shadow_) block.shadow_->clear();
  block.reset_refs();
  return Ref<Block>::adopt(&block);
}

Ref<Block> Cache::grow(std::uint32_t size_class, Home& home, std::uint32_t epoch) {
  misses_.fetch_add(1, std::memory_order_relaxed);
  const std::int64_t bytes = bytes_of(size_class);
  try {
    auto block = Ref<Block>::adopt(new Block);
    block->bytes_ = static_cast<std::size_t>(bytes);
    block->device_ = device_;
    block->kind_ = device_.is_cpu() ? backend::MemoryKind::host : backend::MemoryKind::device;
    block->size_class_ = size_class;
    block->home_ = &home;
    const Piece piece = carve(size_class);
    block->data_ = piece.data;
    block->slab_ = piece.slab;
    block->cache_ = this;
    if (epoch == kNoMember) return block;
    const std::lock_guard guard(mutex_);
    if (epoch != epoch_.load()) return block;
    block->member_index_ = members_.size();
    members_.push_back(block.get());
    block->epoch_ = epoch;
    return block;
  } catch (...) {
    unreserve(bytes, epoch);
    throw;
  }
}

// Idle blocks go first, then what the hook can free, then everything whose work is not over yet.
Piece Cache::carve(std::uint32_t size_class) {
  for (int attempt = 0;; ++attempt) {
    try {
      return heap_.carve(size_class);
    } catch (const OutOfMemory& error) {
      if (attempt == 3) out_of_memory(bytes_of(size_class), error.what());
      if (attempt == 2) wait_for_work();
      auto* hook = pressure_hook.load();
      if (attempt >= 1 && hook != nullptr) hook();
      evict_all();
    }
  }
}

bool Cache::take_back(Block& block) {
  const std::uint32_t epoch = block.epoch_;
  if (epoch != epoch_.load(std::memory_order_acquire)) return false;
  block.freed_at_ = ticks();
  block.is_idle_.store(true, std::memory_order_relaxed);
  block.home_->push(block);
  if (total_.load() > limit_.load() || epoch != epoch_.load()) settle();
  return true;
}

Stats Cache::stats() {
  exec::throw_if_forked("memory.stats");
  const std::lock_guard guard(mutex_);
  Stats stats;
  homes_.for_each([&](Home& home) {
    const std::lock_guard home_guard(home.lock);
    stats.hits += home.hits;
  });
  stats.misses = misses_.load();
  stats.bytes_idle = idle_bytes();
  stats.bytes_live = total_.load() - stats.bytes_idle;
  stats.bytes_peak = peak_;
  stats.blocks = static_cast<std::int64_t>(members_.size());
  stats.waits = waits_.load();
  stats.steals = steals_.load();
  stats.evictions = evictions_;
  return stats;
}

std::vector<BlockInfo> Cache::snapshot() {
  exec::throw_if_forked("memory.snapshot");
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
  std::vector<std::function<std::string()>> describers;
  std::string text;
  {
    const std::lock_guard guard(mutex_);
    const std::int64_t idle = idle_bytes();
    std::int64_t held = 0;  // what is only reserved, this allocation too, is not held
    for (const Block* block : members_) held += static_cast<std::int64_t>(block->bytes_);
    text = fmt::format(
        "allocate: {} bytes on {}: {}; Penstock holds {} bytes live and {} idle in {} blocks",
        bytes, device_.str(), reason, held - idle, idle, members_.size());
    describers = describers_;
  }
  for (const auto& describer : describers) text += "; " + describer();
  throw OutOfMemory(text +
                    "; drop tensors, lower the number of frames in flight, or use smaller ones");
}

std::int64_t limit(Device device) { return Cache::of(device).limit(); }
void set_limit(std::int64_t bytes, Device device) { Cache::of(device).set_limit(bytes); }
Stats stats(Device device) { return Cache::of(device).stats(); }
void clear(Device device) { Cache::of(device).clear(); }
void trim(std::int64_t bytes, Device device) { Cache::of(device).trim(bytes); }
void reset_peak(Device device) { Cache::of(device).reset_peak(); }
std::vector<BlockInfo> snapshot(Device device) { return Cache::of(device).snapshot(); }

}  // namespace penstock::memory
