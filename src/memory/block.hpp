// A piece of memory that carries the points of its uses. Views share it; the last reference decides
// what becomes of it: back to its home list, or, when it is another library's or no member of the
// cache, released once all its uses are complete.
// Thread-safe and reference-counted.
#pragma once

#include "order/stream.hpp"
#include "order/uses.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace penstock::memory {

class Cache;
struct Bin;
struct Home;
struct Slab;

/// Called once, on any thread, when a foreign block's last use is over.
struct Release {
  void (*call)(void* context) = nullptr;
  void* context = nullptr;
};

class Block : public RefCounted<Block> {
 public:
  /// Wraps memory of somebody else. With `back_edge` that stream waits for the uses when the block
  /// goes (CUDA Array Interface v3).
  [[nodiscard]] static Ref<Block> wrap(void* data, std::size_t bytes, Device device,
                                       backend::MemoryKind kind, Release release,
                                       Ref<order::Stream> back_edge = {});

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] Device device() const { return device_; }
  [[nodiscard]] backend::MemoryKind kind() const { return kind_; }
  /// True for memory that Penstock allocated.
  [[nodiscard]] bool is_own() const { return cache_ != nullptr; }

  /// Notes work on the stream that was just enqueued (or, with `open`, that goes on).
  void used(order::Stream& stream, bool is_write, bool open = false);
  /// Its owner's own work, still on that stream: readers wait for it, but the owner, who gets the
  /// memory back, orders it himself.
  void pending(order::Stream& stream);
  /// The same as used() for work that is over at a point of the stream.
  void used_until(order::Stream& stream, order::Point point, bool is_write);
  /// An operator on that stream is through with it: its uses there that went on end here.
  void settle(const order::Stream& stream);
  /// Another library gets it, for work on the stream, which waits for the writes so far, from now
  /// on.
  void lend_to(order::Stream& stream);
  /// The same for work that nobody can name: all that is on the device when the last reference
  /// goes.
  void lend_unseen();
  /// Makes the stream wait for the writes so far (to read) or all uses so far (to write).
  void wait_on(order::Stream& stream, bool for_write);
  /// Waits on the host, at most until `deadline_ns`, for the writes or for all uses so far; from a
  /// task, not for its own stream. Rethrows an error of the writes; a reader's is not the memory's.
  [[nodiscard]] bool sync(bool for_write, std::int64_t deadline_ns);
  [[nodiscard]] bool is_complete(bool for_write);
  /// The points to wait for, as they are now.
  void collect(bool for_write, order::Points& points);

  /// For the checker; nullptr while it is off.
  [[nodiscard]] order::check::Shadow* shadow();

 private:
  static constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};
  friend class RefCounted<Block>;
  friend class Cache;
  friend struct Bin;
  friend struct Home;
  friend class ReleaseGate;
  Block() = default;
  ~Block() = default;
  void dispose();
  /// Forgets the uses that are complete; true if none is left.
  [[nodiscard]] bool prune();
  /// The stream that the memory came from waits for its uses.
  void make_back_edge();
  void follow_context();
  void keep(order::Stream& stream);
  void end_loans();
  /// Releases the memory once the uses are over, now or later.
  void let_go();
  void release_memory();

  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_;
  backend::MemoryKind kind_ = backend::MemoryKind::host;
  std::uint32_t size_class_ = 0;
  std::uint32_t epoch_ = 0;  // of the cache when the block became a member; 0: no member
  Cache* cache_ = nullptr;
  Home* home_ = nullptr;
  Slab* slab_ = nullptr;
  Block* newer_ = nullptr;
  Block* older_ = nullptr;
  std::uint64_t freed_at_ = 0;
  std::size_t member_index_ = 0;
  std::atomic<bool> is_idle_{false};
  Release release_;
  Ref<order::Stream> back_edge_;

  // Guards what follows. Once nobody refers to the block only its lists' owner changes it, still
  // under the lock: a thread that is out of memory reads the uses of all blocks.
  SpinLock lock_;
  order::Uses uses_;
  std::vector<Ref<order::Stream>> lent_to_;  // or named: their slots stay while the uses go on
  bool is_lent_unseen_ = false;
  bool is_used_ = false;  // by more than its owner
  std::uint32_t owners_slot_ = kNoSlot;
  std::unique_ptr<order::check::Shadow> shadow_;
};

}  // namespace penstock::memory
