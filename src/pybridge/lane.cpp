#include "pybridge/lane.hpp"

#include "pybridge/python.hpp"
#include "pybridge/registry.hpp"

namespace penstock::pybridge {
namespace {

thread_local int inside = 0;

}  // namespace

PythonLane& PythonLane::instance() {
  static auto* lane = new PythonLane;
  return *lane;
}

LaneGuest::LaneGuest() { ++inside; }
LaneGuest::~LaneGuest() { --inside; }

bool PythonLane::is_inside() const { return inside > 0; }

void PythonLane::post(backend::host_detail::Strand& strand) {
  const std::lock_guard guard(mutex_);
  posted_.push(Ref<backend::host_detail::Strand>::share(&strand));
  wake_.notify_one();
}

void PythonLane::start() {
  if (started_) return;
  started_ = true;
  nb::handle(registry().start_thread)("lane");
}

void PythonLane::loop() {
  const nb::gil_scoped_release release;
  while (true) {
    Ref<backend::host_detail::Strand> strand;
    {
      std::unique_lock guard(mutex_);
      wake_.wait(guard, [this] { return stopped_ || !posted_.empty(); });
      if (stopped_) return;
      strand = posted_.pop();
    }
    const LaneGuest guest;
    strand->run_on_lane();
  }
}

void PythonLane::stop() {
  const std::lock_guard guard(mutex_);
  stopped_ = true;
  wake_.notify_all();
}

}  // namespace penstock::pybridge
