#include "pybridge/host_wait.hpp"

#include "exec/fork.hpp"
#include "pybridge/place.hpp"
#include "pybridge/waiting.hpp"

namespace penstock::pybridge {
namespace {

// On the mark that covers the point now, so that work queued meanwhile is not waited for.
void wait_for(const order::Point& point) {
  if (order::Slot::at(point.slot).runs_here()) return;
  const auto mark = order::mark_of(point);
  if (!mark) return;
  wait_interruptibly([&](std::int64_t deadline_ns) {
    try {
      return mark->backend().sync(mark->event(), deadline_ns);
    } catch (const backend::SelfWaitError&) {
      return true;  // it comes after the calling task: not what the caller waits for
    }
  });
}

}  // namespace

void wait_until_used(const Tensor& tensor, bool for_write, const char* what) {
  exec::throw_if_forked(what);
  TensorData& data = tensor.impl();
  if (sync_for(data, for_write, 0)) return;
  order::Points points;
  data.block->collect(for_write, points);
  for (const order::Point& point : points) wait_for(point);
  // Complete by now: this is for their errors and for the checker.
  static_cast<void>(sync_for(data, for_write, 0));
}

void wait_for_host(const Tensor& tensor, const char* what) {
  wait_until_used(tensor, true, what);
  if (!order::check::is_on()) return;
  TensorData& data = tensor.impl();
  if (auto* shadow = data.block->shadow(); shadow != nullptr) {
    order::check::access(*shadow, order::check::host_access(), data.range(), false,
                         place_tag(what));
  }
}

}  // namespace penstock::pybridge
