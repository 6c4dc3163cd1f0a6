// Set-up, threads that Python owns, and the end.
#include "bind.hpp"
#include "exec/fork.hpp"
#include "exec/pool.hpp"
#include "exec/timers.hpp"
#include "order/check.hpp"
#include "order/reactor.hpp"
#include "pybridge/lane.hpp"
#include "pybridge/registry.hpp"
#include "pybridge/retire.hpp"

#include <penstock/device.hpp>

#include "base/time.hpp"

namespace penstock::pybridge {
namespace {

void set_up(nb::dict parts) {
  Registry& entries = registry();
  const auto take = [&](const char* name) { return nb::object(parts[name]).release().ptr(); };
  entries.device = take("device");
  entries.stream = take("stream");
  entries.dtype = take("dtype");
  entries.dtype_name = take("dtype_name");
  entries.start_thread = take("start_thread");
  entries.errors = take("errors");
}

// What runs is stopped, for `seconds` at most; later calls are accepted and do nothing.
bool shut_down(double seconds) {
  if (exec::forked()) return true;
  PythonLane::instance().stop();
  stop_retiring();
  const nb::gil_scoped_release release;
  const std::int64_t deadline = now_ns() + static_cast<std::int64_t>(seconds * 1e9);
  const auto left = [&] { return std::max<std::int64_t>(deadline - now_ns(), 0); };
  const bool reactor = order::Reactor::instance().stop(left());
  return exec::Pool::instance().stop(left()) && reactor;
}

}  // namespace

void bind_runtime(nb::module_& module) {
  module.def("_set_up", &set_up);
  module.def("_shut_down", &shut_down);
  module.def("_lane_loop", [] { PythonLane::instance().loop(); });
  module.def("_retire_loop", &retire_loop);
  module.def("_drain_retired", &drain_retired);
  module.def("_race_count", &order::check::race_count);
  module.def("device_count", &penstock::device_count, "GPUs that can be used.");
}

}  // namespace penstock::pybridge
