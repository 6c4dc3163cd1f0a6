// A thread (or several) outside the pool that runs the tasks which name it. A strand whose head
// names a lane hands itself over and parks; the lane calls run_on_lane() from its own thread.
#pragma once

namespace penstock::backend {

namespace host_detail {
class Strand;
}

class Lane {
 public:
  Lane() = default;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  virtual ~Lane() = default;

  /// Takes the strand, whose head is a task of this lane. From any thread; must not block.
  virtual void post(host_detail::Strand& strand) = 0;
  /// True if the calling thread is this lane's, in the middle of a task: it has to run what it
  /// waits for itself.
  [[nodiscard]] virtual bool is_inside() const = 0;
};

}  // namespace penstock::backend
