// The one pool of C++ workers. All C++ that computes on the host runs here; none of them enters
// Python. A job is intrusive and owned by its submitter: submitting allocates nothing.
// Thread-safe. The pool is made at first use and lives until the process ends (it is leaked on
// purpose: workers may outlive static destruction); stop() ends its threads before that.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

namespace penstock::exec {

/// A unit of work. It may be submitted again once run() has been entered, not before.
/// run() does not throw: what can fail keeps its own error. One that throws ends the process.
struct Job {
  void (*run)(Job*) = nullptr;
  /// Kept by the pool from here on.
  Job* next = nullptr;
  bool light = false;
};

/// Who is to run a job that a worker submits. From outside of the pool all are the same: a sleeping
/// worker is woken if no other is looking for work.
enum class Hint : std::uint8_t {
  /// This worker, after its current job. If a job had that place already, that one goes to the
  /// worker's queue, and a sleeping worker is woken for it; so does this one if another
  /// has its turn first. For a job whose data is in this cache.
  next,
  /// Whoever is idle: to the queue, and a sleeping worker is woken. For long jobs.
  spread,
  /// As next, but nobody is woken, also not for the job that loses its place, until this worker
  /// turns to a job that is not light. For jobs so short (under 5 µs) that a wake-up costs more
  /// than they do.
  light,
};

struct PoolOptions {
  /// 0: settings().workers.
  int workers = 0;
  /// Set: the seeded schedule. All jobs are in one list and each worker picks at random; hints
  /// mean nothing, and the list grows by allocation.
  std::optional<std::uint64_t> seed;
  /// How long an idle worker looks for work before it sleeps.
  std::int64_t spin_ns = 50'000;
};

struct PoolState;

class Pool {
 public:
  /// The pool of the process, with the workers and the seed of settings().
  [[nodiscard]] static Pool& instance();
  /// A pool of one's own, for tests. Its destructor stops it, however long that takes.
  [[nodiscard]] static std::unique_ptr<Pool> make(const PoolOptions& options);
  ~Pool();

  /// Runs the job on a worker, soon. From any thread. The first submit starts the threads; it
  /// throws if there are none to be had, or in a forked child. Before a worker begins a job that is
  /// not light it gives away what it keeps (next, light). What it keeps later is taken by another
  /// that has nothing to do: once its worker has been busy with one job for 5 µs if the other is
  /// awake, for some milliseconds if all others sleep.
  void submit(Job* job, Hint hint = Hint::next);
  /// Starts the threads now. Throws as submit() does.
  void start();

  [[nodiscard]] int workers() const;
  /// Workers that have nothing to do at this moment, and those of them that sleep.
  [[nodiscard]] int idle() const;
  [[nodiscard]] int sleeping() const;
  /// How many sleeping workers were woken so far.
  [[nodiscard]] std::uint64_t wakes() const;

  /// True on a thread of a pool.
  [[nodiscard]] static bool on_worker();
  /// The pool whose worker this thread is; instance() elsewhere.
  [[nodiscard]] static Pool& current();
  /// For a job that is about to wait for another thread: what this worker keeps for itself becomes
  /// everybody's, so that the wait can't be for a job that nobody else sees. Elsewhere it does
  /// nothing.
  static void before_blocking();

  /// Ends the threads: running jobs end first, queued ones are dropped. False if that took longer
  /// than `timeout_ns`; then the threads end when their jobs do. On a worker of this pool it only
  /// asks, and returns false. Later submits are accepted and never run.
  bool stop(std::int64_t timeout_ns);

  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

 private:
  explicit Pool(const PoolOptions& options);

  std::unique_ptr<PoolState> state_;
};

}  // namespace penstock::exec
