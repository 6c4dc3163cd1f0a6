#include "exec/parallel_for.hpp"

#include "base/ref.hpp"
#include "base/spin_lock.hpp"
#include "base/time.hpp"
#include "exec/fork.hpp"
#include "exec/futex.hpp"
#include "exec/pool.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <utility>

namespace penstock::exec {
namespace {

constexpr int kMaxHelpers = 31;
// So many pieces for each thread that takes part: those that begin early do more of them.
constexpr std::int64_t kPiecesEach = 4;
constexpr std::int64_t kSpinNs = 20'000;

constexpr std::uint32_t kRunning = 0;
constexpr std::uint32_t kCallerSleeps = 1;
constexpr std::uint32_t kOver = 2;

// One call. A helper that gets its turn after the call has returned still finds the loop here, with
// no piece left, and touches neither function nor context: the loop is counted by its helpers and
// goes back to the free list with the last of them.
class Loop : public RefCounted<Loop> {
 public:
  struct Work {
    RangeFunction function = nullptr;
    void* context = nullptr;
    std::int64_t begin = 0;
    std::int64_t size = 0;
    std::int64_t pieces = 0;
  };

  [[nodiscard]] static Ref<Loop> begin(const Work& work);
  void recruit(Pool& pool, int count);
  void run_pieces();
  void wait();
  void rethrow();
  void dispose();

 private:
  struct Helper : Job {
    Loop* loop = nullptr;
  };
  struct FreeList {
    SpinLock lock;
    Loop* first = nullptr;
  };

  Loop();
  [[nodiscard]] static FreeList& free_list();
  [[nodiscard]] std::int64_t start_of(std::int64_t piece) const;
  void fail();
  void finish(std::int64_t count);

  Work work_;
  alignas(64) std::atomic<std::int64_t> next_{0};
  alignas(64) std::atomic<std::int64_t> done_{0};
  std::atomic<std::uint32_t> phase_{kRunning};
  SpinLock error_lock_;
  std::exception_ptr error_;
  Loop* next_free_ = nullptr;
  std::array<Helper, kMaxHelpers> helpers_;
};

Loop::Loop() {
  for (Helper& helper : helpers_) {
    helper.loop = this;
    helper.run = [](Job* job) {
      const auto loop = Ref<Loop>::adopt(static_cast<Helper*>(job)->loop);
      loop->run_pieces();
    };
  }
}

Loop::FreeList& Loop::free_list() {
  static auto* list = new FreeList;
  return *list;
}

Ref<Loop> Loop::begin(const Work& work) {
  FreeList& free = free_list();
  Loop* loop = nullptr;
  {
    const std::lock_guard guard(free.lock);
    loop = free.first;
    if (loop != nullptr) free.first = loop->next_free_;
  }
  if (loop == nullptr) loop = new Loop;
  loop->reset_refs();
  loop->work_ = work;
  loop->next_.store(0, std::memory_order_relaxed);
  loop->done_.store(0, std::memory_order_relaxed);
  loop->phase_.store(kRunning, std::memory_order_relaxed);
  return Ref<Loop>::adopt(loop);
}

void Loop::dispose() {
  FreeList& free = free_list();
  const std::lock_guard guard(free.lock);
  next_free_ = free.first;
  free.first = this;
}

void Loop::recruit(Pool& pool, int count) {
  for (int i = 0; i < count; ++i) {
    retain();
    pool.submit(&helpers_[static_cast<std::size_t>(i)], Hint::spread);
  }
}

// The first `size % pieces` pieces are longer by one.
std::int64_t Loop::start_of(std::int64_t piece) const {
  const std::int64_t length = work_.size / work_.pieces;
  return work_.begin + piece * length + std::min(piece, work_.size % work_.pieces);
}

void Loop::run_pieces() {
  std::int64_t count = 0;
  for (;; ++count) {
    const std::int64_t piece = next_.fetch_add(1, std::memory_order_relaxed);
    if (piece >= work_.pieces) break;
    try {
      work_.function(work_.context, start_of(piece), start_of(piece + 1));
    } catch (...) {
      fail();
    }
  }
  if (count > 0) finish(count);
}

// Claims what nobody has begun, so that nobody will.
void Loop::fail() {
  {
    const std::lock_guard guard(error_lock_);
    if (!error_) error_ = std::current_exception();
  }
  const std::int64_t claimed = next_.exchange(work_.pieces, std::memory_order_relaxed);
  if (claimed < work_.pieces) finish(work_.pieces - claimed);
}

void Loop::finish(std::int64_t count) {
  const std::int64_t done = done_.fetch_add(count, std::memory_order_acq_rel) + count;
  if (done < work_.pieces) return;
  if (phase_.exchange(kOver) == kCallerSleeps) futex_wake(phase_, 1);
}

// What is waited for is being run right now by helpers that have begun.
void Loop::wait() {
  if (phase_.load() == kOver) return;
  for (const std::int64_t until = now_ns() + kSpinNs; now_ns() < until;) {
    for (int i = 0; i < 16; ++i) cpu_relax();
    if (phase_.load() == kOver) return;
  }
  Pool::before_blocking();
  std::uint32_t expected = kRunning;
  phase_.compare_exchange_strong(expected, kCallerSleeps);
  while (phase_.load() != kOver) futex_wait(phase_, kCallerSleeps, kNever);
}

void Loop::rethrow() {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

int helpers_for(const Pool& pool, std::int64_t most_pieces) {
  const int idle = std::min({pool.idle(), pool.workers() - 1, kMaxHelpers});
  return static_cast<int>(std::min<std::int64_t>(idle, most_pieces - 1));
}

}  // namespace

void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, RangeFunction function,
                  void* context) {
  if (begin >= end) return;
  const std::int64_t size = end - begin;
  const std::int64_t most_pieces =
      std::max<std::int64_t>(1, size / std::max<std::int64_t>(1, grain));
  if (most_pieces == 1 || forked()) return function(context, begin, end);
  Pool& pool = Pool::current();
  const int helpers = helpers_for(pool, most_pieces);
  if (helpers <= 0) return function(context, begin, end);

  pool.start();
  const std::int64_t pieces = std::min(most_pieces, kPiecesEach * (helpers + 1));
  const Ref<Loop> loop = Loop::begin({function, context, begin, size, pieces});
  loop->recruit(pool, helpers);
  loop->run_pieces();
  loop->wait();
  loop->rethrow();
}

}  // namespace penstock::exec
