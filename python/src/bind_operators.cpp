// The operators of C++ that Python puts into graphs: what passes messages on, and the ends that a
// program holds.
#include "base/throw.hpp"
#include "base/time.hpp"
#include "bind.hpp"
#include "exec/fork.hpp"
#include "node_spec.hpp"
#include "operators/feed.hpp"
#include "operators/operators.hpp"
#include "pybridge/body_scope.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/library_scope.hpp"
#include "pybridge/value.hpp"
#include "pybridge/waiting.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace penstock::pybridge {
namespace {

// Another factory's bodies, on a lane: between Python operators no thread is changed.
class OnLane final : public graph::BodyFactory {
 public:
  explicit OnLane(std::shared_ptr<BodyFactory> inner) : inner_(std::move(inner)) {}
  [[nodiscard]] std::unique_ptr<graph::Body> make(int instance) override {
    return inner_->make(instance);
  }
  [[nodiscard]] graph::Home home() const override { return graph::Home::lane; }

 private:
  std::shared_ptr<BodyFactory> inner_;
};

PyNodeSpec placed(graph::NodeSpec spec, bool on_lane) {
  if (on_lane) spec.factory = std::make_shared<OnLane>(std::move(spec.factory));
  return {std::move(spec)};
}

PyNodeSpec merge(bool on_lane) { return placed(operators::merge(), on_lane); }

PyNodeSpec loop(nb::list first, bool on_lane) {
  std::vector<graph::MessageRef> messages;
  for (nb::handle value : first) messages.push_back(message_of(value, true));
  return placed(operators::loop(std::move(messages)), on_lane);
}

// The output for what key(message) gives; that of None for anything else, if there is one.
PyNodeSpec route(nb::handle key, nb::dict outputs) {
  struct Choice {
    PyRef key;
    PyRef outputs;
  };
  auto choice =
      std::make_shared<Choice>(Choice{PyRef::borrow(key.ptr()), PyRef::borrow(outputs.ptr())});
  const auto output_of = [choice](MessageData& message) {
    return in_python([&] {
      const nb::object value = nb::handle(choice->key.get())(object_of(message));
      PyObject* found = PyDict_GetItemWithError(choice->outputs.get(), value.ptr());
      if (found == nullptr && PyErr_Occurred() != nullptr) throw nb::python_error();
      if (found == nullptr) found = PyDict_GetItemWithError(choice->outputs.get(), Py_None);
      return found == nullptr ? -1 : nb::cast<int>(nb::handle(found));
    });
  };
  return {operators::route(output_of, static_cast<int>(nb::len(outputs)), {}, graph::Home::lane)};
}

std::int64_t deadline_of(nb::handle timeout_s) {
  if (timeout_s.is_none()) return kNever;
  const double seconds = std::max(nb::cast<double>(timeout_s), 0.0);
  return seconds > 1e9 ? kNever : now_ns() + static_cast<std::int64_t>(seconds * 1e9);
}

class PyFeed {
 public:
  explicit PyFeed(int capacity) : feed_(std::make_shared<operators::Feed>(capacity)) {}

  // "done", "full", "closed" or "ended".
  const char* put(nb::handle value, nb::handle timeout_s) {
    exec::throw_if_forked("feed");
    graph::MessageRef message = message_of(value, true);
    const std::int64_t deadline_ns = deadline_of(timeout_s);
    operators::Put found = operators::Put::full;
    wait_interruptibly([&](std::int64_t tick_ns) {
      const std::int64_t until = std::min(tick_ns, deadline_ns);
      found = feed_->put(message, until);
      return found != operators::Put::full || now_ns() >= deadline_ns;
    });
    switch (found) {
      case operators::Put::done:
        return "done";
      case operators::Put::full:
        return "full";
      case operators::Put::closed:
        return "closed";
      case operators::Put::ended:
        break;
    }
    return "ended";
  }
  void close() {
    const ReleaseGil release;
    feed_->close();
  }
  [[nodiscard]] PyNodeSpec spec(bool) const { return {operators::feed(feed_)}; }

 private:
  std::shared_ptr<operators::Feed> feed_;
};

class PyDrain {
 public:
  explicit PyDrain(int capacity) : drain_(std::make_shared<operators::Drain>(capacity)) {}

  // (True, value), or (False, None) at the end.
  nb::tuple next() {
    graph::MessageRef message;
    wait_interruptibly([&](std::int64_t tick_ns) {
      message = drain_->next(tick_ns);
      return message || now_ns() < tick_ns;
    });
    if (!message) return nb::make_tuple(false, nb::none());
    if (message->ready.mark != 0) lead_libraries(message->stream->device(), message->ready);
    return nb::make_tuple(true, object_of(*message));
  }
  void abandon() {
    const ReleaseGil release;
    drain_->abandon();
  }
  [[nodiscard]] PyNodeSpec spec(bool) const { return {operators::drain(drain_)}; }

 private:
  std::shared_ptr<operators::Drain> drain_;
};

}  // namespace

void bind_operators(nb::module_& module) {
  module.def("_merge", &merge, nb::arg("on_lane"));
  module.def("_loop", &loop, nb::arg("first"), nb::arg("on_lane"));
  module.def("_route", &route, nb::arg("key"), nb::arg("outputs"));
  module.def("_synthetic", [](std::int64_t height, std::int64_t width, double fps) {
    return PyNodeSpec{operators::synthetic(height, width, fps)};
  });
  nb::class_<PyFeed>(module, "_Feed")
      .def(nb::init<int>())
      .def("put", &PyFeed::put, nb::arg("value").none(), nb::arg("timeout").none() = nb::none())
      .def("close", &PyFeed::close)
      .def("spec", &PyFeed::spec, nb::arg("on_lane"));
  nb::class_<PyDrain>(module, "_Drain")
      .def(nb::init<int>())
      .def("next", &PyDrain::next, nb::sig("def next(self) -> tuple[bool, typing.Any]"))
      .def("abandon", &PyDrain::abandon)
      .def("spec", &PyDrain::spec, nb::arg("on_lane"));
}

}  // namespace penstock::pybridge
