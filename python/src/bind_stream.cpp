#include "arguments.hpp"
#include "base/throw.hpp"
#include "bind.hpp"
#include "exec/fork.hpp"
#include "order/in_flight.hpp"
#include "pybridge/current.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/place.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/python_body.hpp"
#include "pybridge/task.hpp"
#include "pybridge/waiting.hpp"
#include "tensor/event_state.hpp"
#include "tensor/work.hpp"

#include <nanobind/stl/optional.h>

#include <vector>

namespace penstock::pybridge {
namespace {

// What is queued at the time of the call, and no more: others may go on queueing.
void sync_stream(const Stream& stream) {
  order::Stream& impl = stream.impl();
  const auto position =
      impl.actor() == nullptr ? order::check::Position{} : order::check::now(*impl.actor());
  const auto last = impl.mark();
  try {
    wait_interruptibly([&](std::int64_t deadline_ns) { return impl.sync(last, deadline_ns); });
  } catch (const backend::SelfWaitError&) {
    throw;
  } catch (const nb::python_error&) {
    throw;  // Ctrl-C
  } catch (...) {
    order::check::host_wait(position);  // an error of the work: it is over all the same
    throw;
  }
  order::check::host_wait(position);
}

void sync_event(const PyEvent& event) {
  exec::throw_if_forked("Event.sync");
  if (event.event.query()) {
    event.event.sync();  // complete: it only rethrows
    return;
  }
  wait_interruptibly([&](std::int64_t deadline_ns) { return event.event.sync_until(deadline_ns); });
}

nb::object result_of(const PyEvent& event) {
  exec::throw_if_forked("Event.result");
  if (!event.result) {
    sync_event(event);
    return nb::none();
  }
  wait_interruptibly([&](std::int64_t deadline_ns) {
    const auto& mark = event.event.state().mark;
    return !mark || mark->backend().sync(mark->event(), deadline_ns);
  });
  static_cast<void>(event.event.query());  // the checker hears of the wait
  const LaunchResult& result = *event.result;
  if (result.exception) {
    throw PythonFailure(PyRef::borrow(result.exception.get()));
  }
  if (result.skipped) std::rethrow_exception(result.skipped);
  if (!result.value) {
    throw_error<StreamError>("result: the task did not run: the interpreter was at its end");
  }
  return nb::borrow(result.value.get());
}

// A stream, an event or a tensor.
void wait_on(const Stream& stream, nb::handle other) {
  PyEvent* event = nullptr;
  PyTensor* tensor = nullptr;
  if (nb::try_cast<PyEvent*>(other, event) && event != nullptr) {
    stream.wait(event->event);
  } else if (nb::try_cast<PyTensor*>(other, tensor) && tensor != nullptr) {
    stream.wait(tensor->get());
  } else if (nb::hasattr(other, "_impl")) {
    stream.wait(*stream_from(other));
  } else {
    throw_error<ArgumentTypeError>("wait: {} is no stream, event or tensor",
                                   nb::type_name(other.type()).c_str());
  }
}

nb::object current(nb::handle device) {
  const Device where = device_from(device);
  auto stream = Stream::current(where);
  PythonBody* const body = PythonBody::current();
  if (!stream && !where.is_cpu() && body != nullptr && body->runner().device() == where) {
    // An operator's own, which nobody used so far.
    exchange_current_stream(where, &body->runner().stream());
    stream = Stream::current(where);
  }
  return stream ? stream_object(*stream) : nb::object(nb::none());
}

void note(const PyTensor& tensor, nb::handle stream, bool write, bool wait) {
  order::check::Tag tag;
  if (order::check::is_on()) tag = place_tag("uses");
  const auto on = stream_from(stream);
  if (!on) throw_error<ArgumentTypeError>("uses: the stream is None");
  note_use(tensor.get().impl(), on->impl(), write, wait, tag);
}

class PyInFlight {
 public:
  explicit PyInFlight(std::int64_t limit) : flight_(limit) {}
  void add(const PyEvent& event) {
    if (!flight_.enter(0)) {
      wait_interruptibly([&](std::int64_t deadline_ns) { return flight_.enter(deadline_ns); });
    }
    if (const auto& mark = event.event.state().mark) {
      flight_.leave_when(mark->point());
    } else {
      flight_.leave();
    }
  }
  [[nodiscard]] const order::InFlight& get() const { return flight_; }

 private:
  order::InFlight flight_;
};

void bind_stream_class(nb::module_& module) {
  nb::class_<Stream>(module, "_StreamImpl")
      .def(
          "__init__",
          [](Stream* self, nb::handle device, int priority) {
            const Device where = device_from(device);
            const ReleaseGil release;
            new (self) Stream(where, priority);
          },
          nb::arg("device").none() = nb::none(), nb::arg("priority") = 0)
      .def_static(
          "wrap",
          [](std::uintptr_t handle, nb::handle keep_alive) {
            auto kept = std::make_shared<PyRef>(PyRef::borrow(keep_alive.ptr()));
            const Device device = Device::cuda(backend::cuda().stream_device(handle));
            return Stream(order::Stream::wrap(device, handle, std::move(kept)).leak());
          },
          nb::sig("def wrap(handle: int, keep_alive: typing.Any) -> _StreamImpl"))
      .def_prop_ro("id", &Stream::id)
      .def_prop_ro("handle", &Stream::handle)
      .def_prop_ro("device", [](const Stream& s) { return device_object(s.device()); })
      .def("query", &Stream::query)
      .def("sync", &sync_stream)
      .def("record", [](const Stream& s) { return PyEvent{s.record(), nullptr}; })
      .def("wait", &wait_on, nb::arg("x").none())
      .def(
          "launch",
          [](const Stream& s, nb::handle fn, nb::tuple args, nb::handle writes, nb::dict kw) {
            return launch(s.impl(), fn, std::move(args), writes, std::move(kw));
          },
          nb::arg("fn").none(), nb::arg("args"), nb::arg("writes").none(), nb::arg("kw"))
      .def_static(
          "device_of", [](nb::handle device) { return device_object(device_from(device)); },
          nb::arg("device").none(), nb::sig("def device_of(device: typing.Any) -> str"))
      .def("_enter", &enter)
      .def("_leave", &leave);
}

}  // namespace

void bind_stream(nb::module_& module) {
  bind_stream_class(module);
  nb::class_<PyEvent>(module, "Event", "A moment of a stream.")
      .def(
          "query",
          [](const PyEvent& e) {
            exec::throw_if_forked("Event.query");
            return e.event.query();
          },
          "True once the work before it is complete, with an error or without. Never waits.")
      .def("sync", &sync_event, "Waits on the host; raises the error of the work before it.")
      .def("result", &result_of, nb::sig("def result(self) -> typing.Any"),
           "Waits, and gives what the launched function returned, or raises what it raised.");
  nb::class_<PyInFlight>(
      module, "InFlight",
      "A limit on work in flight: add(event) waits for room, then counts the event "
      "until it is complete.")
      .def(nb::init<std::int64_t>(), nb::arg("limit"))
      .def("add", &PyInFlight::add, nb::arg("event"))
      .def_prop_ro("limit", [](const PyInFlight& f) { return f.get().limit(); })
      .def_prop_ro("count", [](const PyInFlight& f) { return f.get().count(); })
      .def_prop_ro(
          "peak", [](const PyInFlight& f) { return f.get().peak(); },
          "The most that were in flight together.");
  module.def("current_stream", &current, nb::arg("device").none() = nb::none(),
             nb::sig("def current_stream(device: typing.Any = None) -> typing.Any"),
             "The stream that `with stream:` made current for this thread, or None.");
  module.def(
      "uses", &note, nb::arg("x"), nb::arg("s").none(), nb::arg("write") = false,
      nb::arg("wait") = true,
      nb::sig("def uses(x: Tensor, s: typing.Any, write: bool = False, wait: bool = True) -> None"),
      "Says that work queued on the stream by other means uses the tensor.");
  module.def("_set_label", [](const std::string& label) {
    std::string outer = order::check::label();
    order::check::set_label(label);
    return outer;
  });
}

}  // namespace penstock::pybridge
