#include "arguments.hpp"
#include "base/throw.hpp"
#include "bind.hpp"
#include "graph/plan.hpp"
#include "node_options.hpp"
#include "node_spec.hpp"
#include "py_run.hpp"
#include "pybridge/compute_body.hpp"
#include "pybridge/graph_lane.hpp"
#include "pybridge/py_message.hpp"
#include "pybridge/value.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace penstock::pybridge {
namespace {

// A graph while Python writes it.
class PyGraph {
 public:
  int add(const std::string& kind, nb::dict options, nb::list inputs, nb::list outputs,
          const std::string& form, nb::handle make, nb::handle ready, nb::handle stream_pool) {
    graph::NodeSpec spec;
    spec.kind = kind;
    spec.options = options_from(std::move(options), sources_);
    spec.inputs = ports_from(std::move(inputs));
    spec.outputs = ports_from(std::move(outputs));
    auto node = std::make_shared<PythonNode>();
    node->kind = kind_from(form);
    node->make = PyRef::borrow(make.ptr());
    if (!ready.is_none()) node->ready = PyRef::borrow(ready.ptr());
    if (!stream_pool.is_none()) node->stream_pool = PyRef::borrow(stream_pool.ptr());
    node->is_batch = spec.options.batch > 1;
    const bool are_lists = node->is_batch || spec.options.window > 1;
    for (const PortSpec& port : spec.inputs) {
      node->inputs.push_back(port.name);
      node->is_list.push_back(are_lists);
      node->is_any_size.push_back(port.size == kAnySize);
    }
    for (const PortSpec& port : spec.outputs) node->outputs.push_back(port.name);
    spec.factory = std::make_shared<PythonFactory>(node);
    const int index = graph_->add(std::move(spec));
    node->name = graph_->nodes().back().options.name;
    python_.emplace_back(index, std::move(node));
    return index;
  }

  int add_native(const PyNodeSpec& native, nb::dict options) {
    graph::NodeSpec spec = native.spec;
    spec.options = options_from(std::move(options), sources_);
    return graph_->add(std::move(spec));
  }

  /// Policy and capacity of the edges from an output.
  void set_output(int node, nb::dict port) {
    nb::list one;
    one.append(port);
    const PortSpec given = ports_from(one).front();
    PortSpec& output = graph_->node(node).outputs[static_cast<std::size_t>(
        graph::find_port(graph_->node(node).outputs, given.name))];
    output.is_policy_set = given.is_policy_set;
    output.policy = given.policy;
    output.capacity = given.capacity;
  }

  void connect(int from, const std::string& from_port, int to, const std::string& to_port) {
    graph_->connect(from, from_port, to, to_port);
  }

  [[nodiscard]] graph::Plan plan() const { return graph::compile(*graph_); }

  PyRun start(int workers, nb::handle device, nb::handle streams, nb::handle on_error,
              double max_age_ms) {
    const graph::Plan compiled = plan();
    sources_->clear();
    for (const std::uint32_t node : compiled.sources) {
      sources_->push_back(compiled.nodes[node].name);
    }
    for (auto& [index, node] : python_) complete(compiled, index, *node);
    runtime::RunOptions options;
    options.workers = workers;
    options.device = device_from(device);
    options.streams = streams_from(streams);
    options.max_age_ms = max_age_ms;
    if (!on_error.is_none())
      options.on_error = on_error_from(on_error, options.on_error_call, sources_);
    options.lanes = LaneSet::make();
    return PyRun(graph_, std::move(options));
  }

 private:
  static BodyKind kind_from(const std::string& form) {
    if (form == "call") return BodyKind::call;
    if (form == "expand") return BodyKind::expand;
    return form == "iterate" ? BodyKind::iterate : BodyKind::compute;
  }

  void complete(const graph::Plan& plan, int index, PythonNode& node) const {
    node.sources = *sources_;
    const auto number = static_cast<std::uint32_t>(index);
    node.wraps_arrays.assign(node.outputs.size(), graph_->nodes()[number].options.sync_context);
    for (const graph::PlannedEdge& edge : plan.edges) {
      if (edge.from != number) continue;
      if (plan.nodes[edge.to].home == graph::Home::pool) node.wraps_arrays[edge.from_port] = true;
    }
  }

  std::shared_ptr<graph::Graph> graph_ = std::make_shared<graph::Graph>();
  SourceNames sources_ = std::make_shared<std::vector<std::string>>();
  std::vector<std::pair<int, std::shared_ptr<PythonNode>>> python_;
};

nb::object current_message() {
  PythonBody* body = PythonBody::current();
  if (body == nullptr || body->activation() == nullptr) {
    throw_error<GraphError>(
        "message: there is none here; it works inside of an operator that runs");
  }
  return body->message();
}

void bind_message(nb::module_& module) {
  nb::class_<PyMessage>(module, "Message", "What an operator works on, apart from its value.")
      .def_prop_ro("origin", &PyMessage::origin, nb::sig("def origin(self) -> typing.Any"),
                   "(source, number, sub): in a batch a list of them.")
      .def_prop_rw("time", &PyMessage::time, &PyMessage::set_time, nb::arg("seconds").none(),
                   nb::for_getter(nb::sig("def time(self) -> float | None")),
                   nb::for_setter(nb::sig("def time(self, seconds: float | None) -> None")),
                   "Seconds, by the source's clock. What is set goes on with what is emitted.")
      .def_prop_ro("_has_time", &PyMessage::has_time)
      .def_prop_ro("metadata", &PyMessage::metadata,
                   nb::sig("def metadata(self) -> dict[str, typing.Any]"),
                   "A dict of this message; what is put there goes on with what is emitted.")
      .def_prop_ro("value", &PyMessage::value, nb::sig("def value(self) -> typing.Any"));
  module.def("message", &current_message, nb::sig("def message() -> Message"),
             "The message that the operator works on which calls this.");
}

void bind_context(nb::module_& module) {
  nb::class_<PyInputs>(module, "Inputs", "What came in, for compute().")
      .def(
          "receive", [](const PyInputs& i, nb::handle port) { return i.get().receive(port); },
          nb::arg("port").none() = nb::none(),
          nb::sig("def receive(self, port: str | None = None) -> typing.Any"),
          "The next message of this activation on the port; None when there is none.")
      .def(
          "streams", [](const PyInputs& i, nb::handle port) { return i.get().streams(port); },
          nb::arg("port").none() = nb::none(),
          nb::sig("def streams(self, port: str | None = None) -> list[typing.Any]"),
          "For each message on the port the stream it was emitted on, or None.");
  nb::class_<PyOutputs>(module, "Outputs", "What goes out, for compute().")
      .def(
          "emit",
          [](const PyOutputs& o, nb::handle value, nb::handle port, nb::handle stream, bool give) {
            o.get().send(value, port, stream, give);
          },
          nb::arg("value").none(), nb::arg("port").none() = nb::none(), nb::kw_only(),
          nb::arg("stream").none() = nb::none(), nb::arg("give") = false,
          nb::sig("def emit(self, value: typing.Any, port: str | None = None, *, "
                  "stream: typing.Any = None, give: bool = False) -> None"),
          "Sends a value on. `stream`: the work that makes it is queued there. `give`: the "
          "operator does not keep it, so a consumer may write into it.");
  nb::class_<PyContext>(module, "Context", "The operator's place in the run.")
      .def_prop_ro(
          "stream", [](const PyContext& c) { return c.get().stream(); },
          nb::sig("def stream(self) -> typing.Any"), "The instance's own stream.")
      .def(
          "extra_stream",
          [](const PyContext& c, const std::string& name) { return c.get().extra_stream(name); },
          nb::arg("name"), nb::sig("def extra_stream(self, name: str) -> typing.Any"),
          "Another stream; the same name gives the same one.")
      .def_prop_ro("name", [](const PyContext& c) { return c.get().runner().name(); })
      .def_prop_ro("instance", [](const PyContext& c) { return c.get().runner().index(); })
      .def_prop_ro(
          "device", [](const PyContext& c) { return device_object(c.get().runner().device()); },
          nb::sig("def device(self) -> str"))
      .def_prop_ro("is_stopping", [](const PyContext& c) { return c.get().runner().is_stopping(); })
      .def(
          "end", [](const PyContext& c) { c.get().end(); },
          "This operator has nothing more to do after this activation.")
      .def(
          "_notify", [](const PyContext& c) { c.get().runner().notify(); },
          "Asks ready() again now. From any thread.")
      .def(
          "_set_number",
          [](const PyContext& c, std::uint64_t number) { c.get().set_number(number); },
          "What a source emits in this activation gets this number.");
}

}  // namespace

void bind_graph(nb::module_& module) {
  bind_message(module);
  bind_context(module);
  [[maybe_unused]] const nb::class_<PyNodeSpec> spec(module, "_NodeSpec");
  nb::class_<PyGraph>(module, "_Graph")
      .def(nb::init<>())
      .def("add", &PyGraph::add, nb::arg("kind"), nb::arg("options"), nb::arg("inputs"),
           nb::arg("outputs"), nb::arg("form"), nb::arg("make"),
           nb::arg("ready").none() = nb::none(), nb::arg("stream_pool").none() = nb::none())
      .def("add_native", &PyGraph::add_native, nb::arg("spec"), nb::arg("options"))
      .def("set_output", &PyGraph::set_output)
      .def("connect", &PyGraph::connect)
      .def("plan_text", [](const PyGraph& g) { return g.plan().text(); })
      .def("plan_json", [](const PyGraph& g) { return g.plan().json(); })
      .def("start", &PyGraph::start, nb::arg("workers"), nb::arg("device").none(),
           nb::arg("streams"), nb::arg("on_error").none(), nb::arg("max_age_ms"));
}

}  // namespace penstock::pybridge
