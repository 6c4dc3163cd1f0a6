// A node of a run: takes in, runs a body, gives out, and is run only when it can go on.
//
// The state word. notify() says that something may have changed; whoever finds the node idle
// becomes responsible for running it, and only the owner touches intake, outlet and activations.
//   notify:  old = state.fetch_or(owned | changed); if old has no `owned`, the caller hands the
//            node to its executor (or works at once).
//   owner:   state.exchange(owned), which takes the news; work until nothing can be done; then
//            compare-exchange owned -> 0. If that fails there is news: again.
// Both are read-modify-writes, also where the node is owned already: a plain look at the word could
// be older than the owner's last look at the edges. What a notifier wrote before is seen by the
// owner's next look, because its exchange reads the notifier's value. A node that ended keeps
// `owned` for good. Attacked by test_node "every interleaving of the state word".
#pragma once

#include "exec/timers.hpp"
#include "runtime/intake.hpp"
#include "runtime/outlet.hpp"
#include "runtime/runner.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace penstock::runtime {

class RunState;

class Node : private exec::Job {
 public:
  static constexpr std::uint32_t kOwned = 1;
  static constexpr std::uint32_t kChanged = 2;

  Node(RunState& run, std::uint32_t index);
  virtual ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Before the first notify().
  void connect(std::vector<InPort> inputs, std::vector<Outlet::Port> outputs);
  virtual void add_runner(std::unique_ptr<Runner> runner) { runners_.push_back(std::move(runner)); }

  /// The work behind the inputs of a runner is complete.
  virtual void inputs_complete(Runner& runner) = 0;

  /// Something may have changed. From any thread; cheap if the node is being run.
  void notify() {
    if ((state_.fetch_or(kOwned | kChanged) & kOwned) == 0) take_over();
  }

  [[nodiscard]] const graph::NodeSpec& spec() const { return spec_; }
  [[nodiscard]] const graph::PlannedNode& planned() const { return planned_; }
  [[nodiscard]] RunState& owner() const { return run_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Runner>>& runners() const { return runners_; }
  /// A message on the port was copied because it is written.
  void count_copy(std::size_t port) { intake_->count_copy(port); }
  [[nodiscard]] bool has_ended() const { return has_ended_.load(); }
  [[nodiscard]] bool is_source() const { return planned_.is_source; }

  // For the look at who waits for whom, while nothing runs.
  [[nodiscard]] bool is_idle() const { return state_.load() == 0 && !expects_.load(); }
  /// A timer, a gate or something outside will notify it.
  [[nodiscard]] bool is_expecting() const;
  [[nodiscard]] std::uint64_t progress() const { return progress_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::string describe_wait() const;
  [[nodiscard]] bool holds_messages() const;
  /// Lets a join take in more; true if that may help. By the look at who waits for whom.
  [[nodiscard]] bool grow();
  /// A loop with nothing left in its cycle ends.
  void cut();

 protected:
  enum class Step : std::uint8_t { again, wait, yield, ended };

  /// Makes as much of its work as it can.
  [[nodiscard]] virtual Step work() = 0;
  /// An instance is ready for an activation; asked only if the bodies have a say.
  [[nodiscard]] virtual bool is_any_ready() = 0;
  /// Where the node's own work is done, once a notifier has taken it over.
  virtual void take_over() = 0;
  void run_owned();
  void post(Executor& executor, exec::Hint hint) { executor.post(this, hint); }

  /// Nothing is there to be claimed, and what comes notifies.
  [[nodiscard]] bool lacks_input() const { return is_fed_ && intake_->lacks_input(); }
  /// Nothing more is to be claimed.
  [[nodiscard]] bool is_exhausted() const;
  /// The next activation, into one that is clear, by all rules but those of instances, or a gap to
  /// be given out.
  [[nodiscard]] Found claim(graph::Activation& activation, MessageRef& gap);
  /// What came out goes to the outlet; the activation is cleared.
  void deliver(graph::Activation& activation);
  /// A step of the fault injection: true if the node is to come back later.
  [[nodiscard]] bool blocks_once();
  void wake_at(std::int64_t time_ns);
  /// There is memory for another activation; else the node comes back soon.
  [[nodiscard]] bool is_admitted(Runner& runner) { return runner.admit() || ask_again(); }
  /// Tells producers that there is room and consumers that there is something.
  void tell_neighbours();
  /// Outputs close, inputs are wanted no more.
  void close();

  RunState& run_;
  const graph::NodeSpec& spec_;
  const graph::PlannedNode& planned_;
  const std::uint32_t index_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<Outlet> outlet_;
  std::vector<std::unique_ptr<Runner>> runners_;
  /// Work of this node goes on elsewhere, and will notify it.
  std::atomic<bool> expects_{false};
  bool is_ending_ = false;

 private:
  [[nodiscard]] bool is_ready();
  void claim_source(graph::Activation& activation);
  void note_latency(const graph::Activation& activation);
  [[nodiscard]] bool ask_again();

  std::atomic<std::uint32_t> state_{0};
  std::atomic<bool> has_ended_{false};
  std::atomic<std::uint64_t> progress_{0};
  std::uint64_t claimed_ = 0;
  std::uint64_t next_number_ = 0;
  std::int64_t next_time_ns_ = 0;
  const std::int64_t every_ns_;
  const bool has_ready_;
  const bool is_blocked_once_;
  const bool is_fed_;  // what it claims depends on its inputs alone
  bool was_blocked_ = false;
  bool gives_first_ = false;  // a loop whose first messages are not out
  std::atomic<bool> is_cut_{false};

  struct Alarm : exec::Job {
    exec::Timer timer;
    Node* node = nullptr;
    std::shared_ptr<RunState> keep_alive;
    std::atomic<bool> is_armed{false};
  } alarm_;
};

/// With one instance, on its executor; with several, wherever it is notified.
[[nodiscard]] std::unique_ptr<Node> make_node(RunState& run, std::uint32_t index);

}  // namespace penstock::runtime
