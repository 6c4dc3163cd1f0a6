// The bound on the cache: what is counted, and which idle blocks go when it is too much. Blocks are
// taken out of their lists and of the count under the mutex, and freed after it was let go: freeing
// may wait for work, and that work may allocate.
#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"
#include "memory/cache.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace penstock::memory {
namespace {

constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();

}  // namespace

// Counts `bytes` more and returns the epoch that the new block belongs to; kNoMember if it can't be
// a member. Idle blocks are evicted as needed, and with Pending::evict also those whose work is not
// over: that is waited for. Empty if without them there is no room.
std::optional<std::uint32_t> Cache::reserve(std::int64_t bytes, Pending pending) {
  Blocks detached;
  std::optional<std::uint32_t> epoch;
  {
    const std::lock_guard guard(mutex_);
    const std::int64_t most = limit_.load();
    if (bytes > most) return kNoMember;
    const auto excess = [&] { return total_.load() + bytes - most; };
    if (excess() > 0) static_cast<void>(detach(excess(), Pending::keep, detached));
    if (excess() > 0 && pending == Pending::evict && excess() <= idle_bytes()) {
      static_cast<void>(detach(excess(), Pending::evict, detached));
    }
    if (excess() <= 0) {
      total_.fetch_add(bytes);
      peak_ = std::max(peak_, total_.load());
      epoch = epoch_.load();
    } else if (pending == Pending::evict) {
      epoch = kNoMember;
    }
  }
  release(detached, true);
  return epoch;
}

void Cache::unreserve(std::int64_t bytes, std::uint32_t epoch) {
  const std::lock_guard guard(mutex_);
  if (epoch != kNoMember && epoch == epoch_.load()) total_.fetch_sub(bytes);
}

// Takes idle blocks out of their lists and of the count, those unused for longest first, until that
// is at least `bytes`. Returns how much it is. Under mutex_.
std::int64_t Cache::detach(std::int64_t bytes, Pending pending, Blocks& detached) {
  const auto may_go = [&](Block& block) { return pending == Pending::evict || block.prune(); };
  std::vector<std::pair<std::uint64_t, std::int64_t>> ages;
  homes_.for_each([&](Home& home) {
    const std::lock_guard guard(home.lock);
    home.sort_returned();
    home.for_each_idle([&](Block& block) {
      if (may_go(block)) {
        ages.emplace_back(block.freed_at_, static_cast<std::int64_t>(block.bytes_));
      }
    });
  });
  if (ages.empty()) return 0;
  std::sort(ages.begin(), ages.end());
  std::uint64_t youngest = 0;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < ages.size() && sum < bytes; ++i) {
    youngest = ages[i].first;
    sum += ages[i].second;
  }
  std::int64_t freed = 0;
  homes_.for_each([&](Home& home) {
    const std::lock_guard guard(home.lock);
    home.for_each_idle([&](Block& block) {
      if (freed >= bytes || block.freed_at_ > youngest || !may_go(block)) return;
      home.take_out(block);
      freed += static_cast<std::int64_t>(block.bytes_);
      detached.push_back(&block);
      ++evictions_;
      remove_member(block);
    });
  });
  return freed;
}

// Under mutex_. Blocks of an earlier epoch are not counted.
void Cache::remove_member(Block& block) {
  if (block.epoch_ != epoch_.load()) return;
  total_.fetch_sub(static_cast<std::int64_t>(block.bytes_));
  members_[block.member_index_] = members_.back();
  members_[block.member_index_]->member_index_ = block.member_index_;
  members_.pop_back();
}

// Idle blocks go until no more than `most` is counted; first those whose work is over. Under
// mutex_.
void Cache::detach_excess(std::int64_t most, Blocks& detached) {
  for (const Pending pending : {Pending::keep, Pending::evict}) {
    const std::int64_t excess = total_.load() - most;
    if (excess > 0) static_cast<void>(detach(excess, pending, detached));
  }
}

// Frees detached blocks; with `wait` not before their work is over, where that can be waited for.
void Cache::release(const Blocks& detached, bool wait) {
  bool waited = false;
  for (Block* block : detached) {
    if (wait && !block->is_complete(true)) {
      order::Points points;
      block->collect(true, points);
      waited = wait_for(points) || waited;
    }
    block->let_go();
  }
  if (waited) waits_.fetch_add(1, std::memory_order_relaxed);
}

// False for work that this thread is in the middle of, or that waits for it. An error of that work
// is not this caller's: it comes out at the next synchronisation.
bool Cache::wait_for(const order::Points& points) {
  bool waited = true;
  for (const order::Point& point : points) {
    if (order::Slot::at(point.slot).runs_here()) {
      waited = false;
    } else if (const auto mark = order::mark_of(point)) {
      try {
        static_cast<void>(mark->backend().sync(mark->event(), kNever));
      } catch (const Error&) {
        waited = false;
      }
    }
  }
  return waited;
}

// All work that uses blocks of the cache, live ones too: what it holds is let go when it is over.
void Cache::wait_for_work() {
  order::Points points;
  {
    const std::lock_guard guard(mutex_);
    order::Uses uses;
    for (Block* block : members_) {
      order::Points own;
      block->collect(true, own);
      for (const order::Point& point : own) uses.add_read(point);
    }
    static_cast<void>(uses.prune());
    uses.collect(true, points);
  }
  if (!points.empty() && wait_for(points)) waits_.fetch_add(1, std::memory_order_relaxed);
}

void Cache::evict_all() {
  Blocks detached;
  {
    const std::lock_guard guard(mutex_);
    static_cast<void>(detach(kAll, Pending::keep, detached));
  }
  release(detached, false);
}

// A block came back while the limit was lowered or the cache cleared.
void Cache::settle() {
  Blocks detached;
  {
    const std::lock_guard guard(mutex_);
    sweep_stale(detached);
    detach_excess(limit_.load(), detached);
  }
  release(detached, false);
}

void Cache::set_limit(std::int64_t bytes) {
  exec::throw_if_forked("memory.set_limit");
  if (bytes < 0) throw_error<Error>("set_limit: {} bytes is negative", bytes);
  limit_.store(bytes);
  settle();
}

void Cache::trim(std::int64_t idle_bytes) {
  exec::throw_if_forked("memory.trim");
  if (idle_bytes < 0) throw_error<Error>("trim: {} bytes is negative", idle_bytes);
  Blocks detached;
  {
    const std::lock_guard guard(mutex_);
    const std::int64_t idle = this->idle_bytes();
    if (idle > idle_bytes) detach_excess(total_.load() - (idle - idle_bytes), detached);
  }
  release(detached, false);
}

void Cache::clear() {
  exec::throw_if_forked("memory.clear");
  Blocks detached;
  {
    const std::lock_guard guard(mutex_);
    epoch_.fetch_add(1);
    members_.clear();
    total_.store(0);
    sweep_stale(detached);
  }
  release(detached, false);
}

// Idle blocks of an earlier epoch. Under mutex_.
void Cache::sweep_stale(Blocks& detached) {
  homes_.for_each([&](Home& home) {
    const std::lock_guard guard(home.lock);
    home.sort_returned();
    home.for_each_idle([&](Block& block) {
      if (block.epoch_ == epoch_.load()) return;
      home.take_out(block);
      detached.push_back(&block);
    });
  });
}

void Cache::reset_peak() {
  exec::throw_if_forked("memory.reset_peak");
  const std::lock_guard guard(mutex_);
  peak_ = total_.load();
}

// Under mutex_.
std::int64_t Cache::idle_bytes() const {
  std::int64_t idle = 0;
  for (const Block* block : members_) {
    if (block->is_idle_.load()) idle += static_cast<std::int64_t>(block->bytes_);
  }
  return idle;
}

}  // namespace penstock::memory
