// A Python thread that runs the Python tasks of host streams, one at a time. It waits without the
// GIL; each task takes it for itself. A Python thread that is blocked by a Penstock wait is the lane's
// guest: it may run the very task that it waits for.
// Thread-safe. The lane lives until the process ends; its thread is Python's.
#pragma once

#include "backend/lane.hpp"
#include "backend/host/strand.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace penstock::pybridge {

class PythonLane final : public backend::Lane {
 public:
  [[nodiscard]] static PythonLane& instance();

  void post(backend::host_detail::Strand& strand) override;
  [[nodiscard]] bool is_inside() const override;

  /// Asks Python for the lane's thread, once. With the GIL.
  void start();
  /// The body of the thread; returns after stop(). Called with the GIL.
  void loop();
  void stop();

 private:
  PythonLane() = default;

  std::mutex mutex_;
  std::condition_variable wake_;
  RingQueue<Ref<backend::host_detail::Strand>> posted_;
  bool stopped_ = false;
  bool started_ = false;
};

/// While one lives the calling Python thread, which has given up the GIL, may run tasks of the lane.
class LaneGuest {
 public:
  LaneGuest();
  ~LaneGuest();
  LaneGuest(const LaneGuest&) = delete;
  LaneGuest& operator=(const LaneGuest&) = delete;
};

}  // namespace penstock::pybridge
