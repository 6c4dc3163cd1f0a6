// The cache of one device's memory. A free makes no device call: the block goes to its home list
// with its points inside. An allocation on a stream tries, in this order: a block that was last
// used on that stream; one whose points are complete; one that the stream's clock covers; growth;
// where the limit forbids that, one that the stream can wait for. Thread-safe. Caches live until
// the process ends.
#pragma once

#include <penstock/memory.hpp>

#include "base/fair_mutex.hpp"
#include "memory/block.hpp"
#include "memory/homes.hpp"
#include "memory/slab.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace penstock::memory {

class Cache {
 public:
  [[nodiscard]] static Cache& of(Device device);

  /// At least `bytes`, for work on that stream, or (nullptr) for the calling thread at once.
  /// OutOfMemory names sizes, holders and what to try.
  [[nodiscard]] Ref<Block> allocate(std::size_t bytes, order::Stream* stream);

  /// Bytes that the calling thread was given so far, by all caches; it only grows.
  [[nodiscard]] static std::int64_t allocated_here();
  /// True if so many bytes more can be live within the limit.
  [[nodiscard]] bool has_room(std::int64_t bytes);

  [[nodiscard]] std::int64_t limit() const { return limit_.load(); }
  void set_limit(std::int64_t bytes);
  [[nodiscard]] Stats stats();
  void clear();
  void trim(std::int64_t idle_bytes);
  void reset_peak();
  [[nodiscard]] std::vector<BlockInfo> snapshot();

  /// Lets another room say what it holds, for the text of OutOfMemory.
  void add_describer(std::function<std::string()> describer);
  /// Called when memory is short, before giving up: it may free some.
  static void set_pressure_hook(void (*hook)());

  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

 private:
  friend class Block;
  Cache(Device device, std::uint32_t index);
  ~Cache() = delete;

  [[nodiscard]] Home& home_of(const order::Stream* stream);
  [[nodiscard]] Block* take(Home& home, std::uint32_t size_class, const order::Slot* slot);
  [[nodiscard]] Block* steal(const Home& own, std::uint32_t size_class, const order::Slot* slot);
  [[nodiscard]] Block* take_over(std::uint32_t size_class, order::Stream& stream);
  [[nodiscard]] static Ref<Block> hand_out(Block& block, Home& home);
  [[nodiscard]] Ref<Block> grow(std::uint32_t size_class, Home& home, std::uint32_t epoch);
  [[nodiscard]] Piece carve(std::uint32_t size_class);
  [[noreturn]] void out_of_memory(std::int64_t bytes, const char* reason);
  /// False: the block is no member (any more); its memory has to be released.
  [[nodiscard]] bool take_back(Block& block);
  void destroy(Block& block) { heap_.give_back({block.data_, block.slab_}); }

  using Blocks = std::vector<Block*>;
  /// No member, or not yet: the epoch of such a block.
  static constexpr std::uint32_t kNoMember = 0;
  enum class Pending : std::uint8_t { keep, evict };
  [[nodiscard]] std::optional<std::uint32_t> reserve(std::int64_t bytes, Pending pending);
  void unreserve(std::int64_t bytes, std::uint32_t epoch);
  [[nodiscard]] std::int64_t detach(std::int64_t bytes, Pending pending, Blocks& detached);
  void detach_excess(std::int64_t most, Blocks& detached);
  void sweep_stale(Blocks& detached);
  void settle();
  void evict_all();
  void wait_for_work();
  void release(const Blocks& detached, bool wait);
  [[nodiscard]] static bool wait_for(const order::Points& points);
  void remove_member(Block& block);
  [[nodiscard]] std::int64_t idle_bytes() const;

  const Device device_;
  SlabHeap heap_;
  Homes homes_;
  std::atomic<std::int64_t> limit_;
  std::atomic<std::int64_t> total_{0};  // live + idle, exact; changed under mutex_
  std::atomic<std::int64_t> misses_{0};
  std::atomic<std::int64_t> waits_{0};
  std::atomic<std::int64_t> steals_{0};
  std::atomic<std::uint32_t> epoch_{1};  // a clear ends an epoch and the membership of its blocks
  FairMutex mutex_;  // growth, eviction, clear; guards what follows; nobody waits under it
  std::int64_t peak_ = 0;
  std::int64_t evictions_ = 0;
  Blocks members_;
  std::vector<std::function<std::string()>> describers_;
};

}  // namespace penstock::memory
