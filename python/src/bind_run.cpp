#include "py_run.hpp"

#include "base/throw.hpp"
#include "base/time.hpp"
#include "bind.hpp"
#include "exec/fork.hpp"
#include "operators/feed.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/waiting.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace penstock::pybridge {
namespace {

std::mutex runs_mutex;
std::vector<std::weak_ptr<runtime::Run>>& runs() {
  static auto* all = new std::vector<std::weak_ptr<runtime::Run>>;
  return *all;
}

nb::object or_none(const std::exception_ptr& error) {
  return error ? exception_object(error) : nb::object(nb::none());
}

nb::dict dict_of(const runtime::OperatorStats& stats) {
  nb::dict all;
  all["name"] = stats.name;
  all["activations"] = stats.activations;
  all["rate"] = stats.rate;
  all["busy"] = stats.busy;
  all["p50"] = stats.p50_s;
  all["p99"] = stats.p99_s;
  all["skipped"] = stats.skipped;
  all["unmatched"] = stats.unmatched;
  nb::list lanes;
  for (const int lane : stats.lanes) lanes.append(lane);
  all["lanes"] = nb::tuple(lanes);
  all["last_error"] = or_none(stats.last_error);
  return all;
}

nb::dict dict_of(const runtime::EdgeStats& stats) {
  nb::dict all;
  all["key"] = nb::make_tuple(stats.from, stats.from_port, stats.to, stats.to_port);
  all["passed"] = stats.passed;
  all["depth"] = stats.depth;
  all["capacity"] = stats.capacity;
  all["fill"] = stats.fill;
  all["blocked"] = stats.blocked;
  all["dropped"] = stats.dropped;
  all["unpaired"] = stats.unpaired;
  all["copies"] = stats.copies;
  return all;
}

}  // namespace

PyRun::PyRun(std::shared_ptr<graph::Graph> graph, runtime::RunOptions options) {
  exec::throw_if_forked("run");
  run_ = runtime::Run::start(graph, std::move(options));  // lanes need the GIL
  operators::tell_end(*graph, *run_);
  const std::lock_guard guard(runs_mutex);
  std::erase_if(runs(), [](const auto& known) { return known.expired(); });
  runs().push_back(run_);
}

PyRun::~PyRun() {
  if (!run_) return;
  const RetireHere scope;
  run_.reset();
}

void PyRun::stop() {
  const ReleaseGil release;
  run_->stop();
}

void PyRun::abort() {
  const ReleaseGil release;
  run_->abort(nullptr);
}

bool PyRun::wait(nb::handle timeout_s) {
  const std::int64_t deadline_ns =
      timeout_s.is_none() ? kNever
                          : now_ns() + static_cast<std::int64_t>(nb::cast<double>(timeout_s) * 1e9);
  bool is_late = false;
  wait_interruptibly([&](std::int64_t tick_ns) {
    const std::int64_t until = std::min(tick_ns, deadline_ns);
    try {
      if (run_->wait(until)) return true;
    } catch (...) {
      return true;  // failure() has it
    }
    is_late = now_ns() >= deadline_ns;
    return is_late;
  });
  return !is_late || run_->is_over();
}

nb::object PyRun::failure() const {
  const runtime::Failure failure = run_->failure();
  if (!failure.error) return nb::none();
  nb::object exception = exception_object(failure.error);
  if (!failure.node.empty()) {
    std::string note = fmt::format("in operator {}, instance {}", failure.node, failure.instance);
    if (!failure.origin.empty()) note += fmt::format(", message {}", failure.origin);
    exception.attr("add_note")(note);
  }
  if (!failure.on_lost_device.empty()) {
    exception.attr("add_note")(
        fmt::format("the device had work of these operators, one of which broke it: {}",
                    fmt::join(failure.on_lost_device, ", ")));
  }
  for (const auto& later : failure.later) {
    const nb::object other = exception_object(later);
    exception.attr("add_note")(
        fmt::format("later: {}: {}", nb::type_name(other.type()).c_str(), nb::str(other).c_str()));
  }
  return exception;
}

void PyRun::on_end(nb::handle call) {
  auto kept = std::make_shared<PyRef>(PyRef::borrow(call.ptr()));
  run_->on_end([kept] {
    // On any thread, perhaps with no GIL: the retire thread makes the call.
    retire(
        [](void* context) {
          const std::unique_ptr<std::shared_ptr<PyRef>> held(
              static_cast<std::shared_ptr<PyRef>*>(context));
          PyObject* result = PyObject_CallObject((*held)->get(), nullptr);
          if (result == nullptr) {
            PyErr_WriteUnraisable((*held)->get());
          } else {
            Py_DECREF(result);
          }
        },
        new std::shared_ptr<PyRef>(kept));
  });
}

nb::dict PyRun::stats() const {
  const runtime::RunStats stats = run_->stats();
  nb::dict all;
  all["seconds"] = stats.seconds;
  all["workers"] = stats.workers;
  nb::list operators;
  for (const auto& one : stats.operators) operators.append(dict_of(one));
  all["operators"] = operators;
  nb::list edges;
  for (const auto& one : stats.edges) edges.append(dict_of(one));
  all["edges"] = edges;
  nb::list latencies;
  for (const auto& one : stats.latencies) {
    nb::dict entry;
    entry["key"] = nb::make_tuple(one.source, one.sink);
    entry["count"] = one.count;
    entry["p50"] = one.p50_s;
    entry["p99"] = one.p99_s;
    latencies.append(entry);
  }
  all["latencies"] = latencies;
  return all;
}

bool end_all_runs(std::int64_t timeout_ns) {
  std::vector<std::shared_ptr<runtime::Run>> there;
  {
    const std::lock_guard guard(runs_mutex);
    for (const auto& run : runs()) {
      if (auto alive = run.lock()) there.push_back(std::move(alive));
    }
  }
  const std::int64_t deadline_ns = now_ns() + timeout_ns;
  for (const auto& run : there) run->abort(nullptr);
  bool ended = true;
  for (const auto& run : there) {
    try {
      ended = run->wait(deadline_ns) && ended;
    } catch (...) {
      continue;  // it is over
    }
  }
  return ended;
}

void bind_run(nb::module_& module) {
  nb::class_<PyRun>(module, "_Run")
      .def("stop", &PyRun::stop)
      .def("abort", &PyRun::abort)
      .def("wait", &PyRun::wait, nb::arg("timeout").none() = nb::none())
      .def("is_over", &PyRun::is_over)
      .def("failure", &PyRun::failure, nb::sig("def failure(self) -> typing.Any"))
      .def("on_end", &PyRun::on_end)
      .def("stats", &PyRun::stats, nb::sig("def stats(self) -> dict[str, typing.Any]"))
      .def("plan_text", &PyRun::plan_text);
}

}  // namespace penstock::pybridge
