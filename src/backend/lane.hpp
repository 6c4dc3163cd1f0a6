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
  /// True if the calling thread may run this lane's tasks now: it is the lane's own, blocked in the
  /// middle of a task, or a guest.
  [[nodiscard]] virtual bool is_inside() const = 0;
};

/// While one lives, waits of the calling thread that have a deadline run tasks meanwhile, as those
/// without one do, and may overrun it. For threads that wait in short pieces, to look at something
/// else in between.
class Helper {
 public:
  Helper();
  ~Helper();
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
};

}  // namespace penstock::backend
