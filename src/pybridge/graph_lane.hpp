// The threads that run Python operators. A lane is a queue of jobs and one Python thread that runs
// them, in the order they came, with the GIL; idle it waits without. The single-instance operators
// of a run begin on one lane, so that a message goes from one to the next by a plain call. A body
// that is long and free of the GIL gets a lane of its own: see LaneSet.
//
// Posting. The lane's own thread puts jobs into a local queue. Others push onto a list by
// compare-exchange, and then look at `sleeps_`; the thread raises it and then looks at the list,
// all sequentially consistent, so one of them sees the other and no job waits for ever. Attacked by
// test_lanes.py "posts from many threads".
#pragma once

#include "base/random.hpp"
#include "base/ring_queue.hpp"
#include "pybridge/python.hpp"
#include "runtime/executor.hpp"
#include "runtime/runner.hpp"

#include <time.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace penstock::pybridge {

class GraphLane;

/// A thread that serves lanes: which one now. Changed with the GIL alone.
struct LaneServer {
  std::shared_ptr<GraphLane> lane;
};

class GraphLane final : public runtime::Executor, public std::enable_shared_from_this<GraphLane> {
 public:
  GraphLane();
  void post(exec::Job* job, exec::Hint hint) override;
  void between() override;
  /// Runs jobs of the server's lane until that is stopped. On a Python thread, with the GIL.
  static void serve(LaneServer& server);
  /// The thread leaves once its jobs are done.
  void stop();
  /// The lane that the calling thread serves, nullptr elsewhere. With the GIL.
  [[nodiscard]] static GraphLane* current();

  /// Around a body, on the lane's thread: what runs, for the watch.
  void enter_body(runtime::Runner& runner);
  void leave_body();

 private:
  friend class LaneSet;
  [[nodiscard]] exec::Job* take();
  void take_inbox();
  void look_for_news();
  void wait();
  [[nodiscard]] bool has_news() const { return inbox_.load() != nullptr || stopped_.load(); }

  // With the GIL.
  LaneServer* server_ = nullptr;
  RingQueue<exec::Job*> local_;
  int in_a_row_ = 0;
  Random random_;

  std::atomic<exec::Job*> inbox_{nullptr};
  alignas(64) std::atomic<std::uint32_t> sleeps_{0};
  std::atomic<bool> looks_{false};  // for jobs, before it sleeps
  std::atomic<bool> stopped_{false};
  // Odd while a body runs; changes with each.
  std::atomic<std::uint64_t> activity_{0};
  std::atomic<runtime::Runner*> running_{nullptr};
  /// Processor time of the thread that serves it.
  [[nodiscard]] std::int64_t thread_ns() const;
  std::atomic<clockid_t> thread_clock_{0};
  // Of the watch: the body that it saw, since when, and the thread's time then.
  std::uint64_t seen_activity_ = 0;
  std::int64_t seen_ns_ = 0;
  std::int64_t seen_thread_ns_ = 0;
};

/// The lanes of one run, until it is gone; their threads are kept for later runs. The watch looks
/// at the shared lane about every millisecond: where a body runs and the watch gets the GIL within
/// one, the body is free of it. One that runs that long gets the thread for itself, and the others
/// of its lane another; one of over 50 us gets a lane of its own once it was seen free three times.
/// While some other thread keeps the GIL busy that can't be seen; a body whose thread has not
/// worked for 25 ms counts as free all the same.
class LaneSet final : public runtime::LaneProvider {
 public:
  [[nodiscard]] static std::shared_ptr<LaneSet> make();
  ~LaneSet() override;
  /// With the GIL: threads are Python's.
  [[nodiscard]] runtime::Executor& lane(std::uint32_t chain, bool own) override;
  /// Looks at all sets. Without the GIL. False if nothing is to be watched.
  static bool watch_all();

 private:
  struct Looks {
    int free = 0;
    int held = 0;
  };
  LaneSet() = default;
  [[nodiscard]] GraphLane& add();
  void watch();
  void hand_over(runtime::Runner& runner);

  std::vector<std::shared_ptr<GraphLane>> lanes_;  // with the GIL
  std::atomic<GraphLane*> shared_{nullptr};
  std::map<runtime::Runner*, Looks> looks_;  // of the watch
};

/// Has a thread serve the lane. With the GIL.
void find_thread(std::shared_ptr<GraphLane> lane);
/// The body of a thread that serves lanes; returns at the end. Called with the GIL.
void graph_lane_loop();
void stop_graph_lanes();

}  // namespace penstock::pybridge
