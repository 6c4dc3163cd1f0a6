// Set-up, threads that Python owns, and the end.
#include "bind.hpp"
#include "exec/fork.hpp"
#include "exec/pool.hpp"
#include "exec/timers.hpp"
#include "order/check.hpp"
#include "order/reactor.hpp"
#include "py_run.hpp"
#include "pybridge/current.hpp"
#include "pybridge/gil_turn.hpp"
#include "pybridge/graph_lane.hpp"
#include "pybridge/lane.hpp"
#include "pybridge/library_scope.hpp"
#include "pybridge/registry.hpp"
#include "pybridge/retire.hpp"
#include "trace/nvtx.hpp"

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
  entries.image = take("image");
  entries.image_batch = take("image_batch");
  entries.origin = take("origin");
  entries.fatal = take("fatal");
  entries.main_thread = nb::cast<unsigned long>(parts["main_thread"]);
}

// At interpreter exit: what runs is stopped, for `seconds` at most, then abandoned.
bool shut_down(double seconds) {
  if (exec::forked()) return true;
  const std::int64_t deadline = now_ns() + static_cast<std::int64_t>(seconds * 1e9);
  const auto left = [&] { return std::max<std::int64_t>(deadline - now_ns(), 0); };
  bool ended = true;
  {
    const ReleaseGil release;
    ended = end_all_runs(left());
    stop_graph_lanes();
    ended = PythonLane::instance().stop(left()) && ended;
    ended = exec::Pool::instance().stop(left()) && ended;
    ended = order::Reactor::instance().stop(left()) && ended;
    ended = stop_retiring(left()) && ended;
  }
  begin_end();
  drain_retired();
  return ended;
}

}  // namespace

void bind_runtime(nb::module_& module) {
  module.def("_set_up", &set_up);
  module.def("_shut_down", &shut_down);
  module.def("_lane_loop", [] { PythonLane::instance().loop(); });
  module.def("_graph_lane_loop", &graph_lane_loop);
  module.def("_working_lanes", &GilTurn::working);
  module.def("_retire_loop", &retire_loop);
  module.def("_forget_retire_thread", &forget_retire_thread);
  module.def("_call_directly", &call_directly, nb::arg("f"), nb::arg("args"), nb::arg("words"),
             nb::sig("def _call_directly(f: typing.Any, args: tuple[typing.Any, ...], words: "
                     "dict[str, typing.Any]) -> typing.Any"));
  module.def("_note_entered",
             nb::overload_cast<std::uintptr_t, nb::handle>(&LibraryScope::note_entered),
             nb::arg("handle"), nb::arg("owner"),
             nb::sig("def _note_entered(handle: int, owner: typing.Any) -> None"));
  module.def("_race_count", &order::check::race_count);
  module.def("_has_nvtx", &trace::has_nvtx);
  module.def("_device_name", [](const std::string& name) { return Device::parse(name).str(); });
  module.def("device_count", &penstock::device_count, "GPUs that can be used.");
}

}  // namespace penstock::pybridge
