// Python threads that run the Python tasks of host streams. They wait without the GIL; each task
// takes it for itself. There is one thread until tasks block: where strands wait and no thread of
// the lane takes one for a tick of the retire thread, that thread adds one. A Python thread that is
// blocked by a Penstock wait is the lane's guest: it may run the very task that it waits for.
// Thread-safe. The lane lives until the process ends; its threads are Python's.
#pragma once

#include "backend/host/strand.hpp"
#include "backend/lane.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace penstock::pybridge {

class PythonLane final : public backend::Lane {
 public:
  [[nodiscard]] static PythonLane& instance();

  void post(backend::host_detail::Strand& strand) override;
  [[nodiscard]] bool is_inside() const override;

  /// Asks Python for the lane's first thread, once. With the GIL.
  void start();
  /// The body of a thread; returns after stop(). Called with the GIL.
  void loop();
  /// Takes no more tasks, and waits for those that run; false if that took longer.
  bool stop(std::int64_t timeout_ns);
  [[nodiscard]] bool is_stopped() const { return stopped_.load(); }

  /// True if strands wait for a thread that is not there.
  [[nodiscard]] bool is_short();
  /// One tick of the retire thread, without the GIL: adds a thread if none took a strand since the
  /// last one. False if it need not be called before is_short() is true again.
  bool relieve();

 private:
  PythonLane() = default;
  void add_thread();
  [[nodiscard]] bool lacks_threads() const { return static_cast<int>(posted_.size()) > idle_; }

  std::mutex mutex_;
  std::condition_variable wake_;
  RingQueue<Ref<backend::host_detail::Strand>> posted_;
  int idle_ = 0;                  // threads that wait for a strand, or are about to
  std::uint64_t taken_ = 0;       // strands taken so far
  std::uint64_t taken_seen_ = 0;  // at the last tick
  int running_ = 0;
  std::condition_variable ended_;
  std::atomic<bool> stopped_{false};  // written under mutex_
  bool started_ = false;
};

/// While one lives the calling Python thread, which has given up the GIL, may run tasks of the
/// lane.
class LaneGuest {
 public:
  LaneGuest();
  ~LaneGuest();
  LaneGuest(const LaneGuest&) = delete;
  LaneGuest& operator=(const LaneGuest&) = delete;

 private:
  backend::Helper helper_;
};

}  // namespace penstock::pybridge
