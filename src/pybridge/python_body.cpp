#include "pybridge/python_body.hpp"

#include "base/throw.hpp"
#include "pybridge/body_scope.hpp"
#include "pybridge/compute_body.hpp"
#include "pybridge/current.hpp"
#include "pybridge/elsewhere.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/graph_lane.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/library_scope.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/value.hpp"
#include "tensor/tensor_data.hpp"

#include <optional>
#include <utility>

namespace penstock::pybridge {
namespace {

thread_local PythonBody* current_body = nullptr;

Py_ssize_t length_of(nb::handle value) {
  const Py_ssize_t length = PyObject_Length(value.ptr());
  if (length < 0) PyErr_Clear();
  return length;
}

}  // namespace

PythonBody* PythonBody::current() { return current_body; }

BodyScope::BodyScope(PythonBody& body) : outer_(std::exchange(current_body, &body)) {
  if (GraphLane* lane = GraphLane::current()) lane->enter_body(body.runner());
}
BodyScope::~BodyScope() {
  current_body = outer_;
  // Another lane than before if the thread was handed over meanwhile.
  if (GraphLane* lane = GraphLane::current()) lane->leave_body();
}

PythonBody::~PythonBody() = default;

void PythonBody::start(graph::Instance& instance) {
  runner_ = static_cast<runtime::Runner*>(&instance);
  const BodyScope scope(*this);
  std::optional<LibraryScope> libraries;
  if (!runner_->device().is_cpu() && is_in_use(runner_->device())) {
    libraries.emplace(runner_->stream());
  }
  in_python([&] {
    nb::object made = nb::handle(node_->make.get())(runner_->index());
    if (PyTuple_CheckExact(made.ptr())) {
      close_ = nb::borrow(made[1]);
      made = nb::borrow(made[0]);
    }
    if (node_->kind == BodyKind::iterate) {
      made = nb::steal(PyObject_GetIter(made.ptr()));
      if (!made.is_valid()) throw nb::python_error();
    }
    this->made(std::move(made));
  });
  if (libraries) static_cast<void>(libraries->join());
  is_made_ = true;
}

void PythonBody::stop() {
  const BodyScope scope(*this);
  const KeptBlocks blocks(open_blocks_);
  in_python([&] {
    if (is_made_ && close_.is_valid() && !close_.is_none()) close_();
    is_made_ = false;
    message_ = nb::object();
    object_ = nb::object();
    close_ = nb::object();
  });
}

bool PythonBody::ready() {
  const auto ask = [this] { return nb::cast<bool>(nb::bool_(nb::handle(node_->ready.get())())); };
  if (GraphLane::current() != nullptr) return in_python(ask);
  const AcquireGil gil;
  return in_python(ask);
}

void PythonBody::run(graph::Activation& activation) {
  activation_ = &activation;
  struct Done {
    PythonBody& body;
    ~Done() { body.activation_ = nullptr; }
  } const done{*this};
  call_on_device(activation);
  if (message_.is_valid()) {
    const nb::object message = std::exchange(message_, nb::object());
    nb::cast<PyMessage&>(message).apply(activation);
  }
}

// On a GPU what the body's libraries launch is ordered, and what it emits is ready behind that.
void PythonBody::call_on_device(graph::Activation& activation) {
  const Device device = runner_->device();
  if (device.is_cpu()) {
    call(activation);
    return;
  }
  std::optional<LibraryScope> scope;
  Elsewhere elsewhere(device);
  for (const graph::MessageRef& input : activation.all()) {
    if (input) elsewhere.add(*input);
  }
  if (is_in_use(device) || !elsewhere.is_empty()) scope.emplace(runner_->stream());
  if (!elsewhere.is_empty()) elsewhere.lead(runner_->stream());
  call(activation);
  for (const graph::Staged& staged : activation.outputs) elsewhere.add(*staged.message);
  if (!scope && !is_in_use(device) && elsewhere.is_empty()) return;
  order::Stream& own = runner_->stream();
  // The first body that uses the device finds the libraries on streams of their own.
  const bool has_others = scope ? scope->join() : follow_libraries(own);
  elsewhere.follow(own);
  bool is_borrowed = has_others || !elsewhere.is_empty();
  for (const graph::MessageRef& input : activation.all()) {
    if (!input || input->ready.mark == 0) continue;
    is_borrowed = is_borrowed || input->is_borrowed || input->ready.slot != own.slot().index();
  }
  const order::Point ready = own.use();
  for (const graph::Staged& staged : activation.outputs) {
    MessageData& message = *staged.message;
    if (message.stream || !may_be_on_device(message)) continue;
    message.stream = Ref<order::Stream>::share(&own);
    message.ready = ready;
    message.is_borrowed = is_borrowed;
  }
}

nb::object PythonBody::message() {
  if (!message_.is_valid()) {
    message_ = nb::cast(PyMessage(*activation_, node_->sources, node_->is_batch));
  }
  return message_;
}

nb::object PythonBody::argument(const graph::Activation& activation, std::size_t port) const {
  const auto messages = activation.port(port);
  if (!node_->is_list[port] && !node_->is_any_size[port]) {
    return messages.front() ? object_of(*messages.front()) : nb::none();
  }
  nb::list all;
  for (const graph::MessageRef& message : messages) {
    if (message) {
      all.append(object_of(*message));
    } else if (node_->is_list[port]) {
      all.append(nb::none());
    }
  }
  return node_->is_any_size[port] ? nb::object(nb::tuple(all)) : nb::object(all);
}

nb::object PythonBody::call_with_arguments(const graph::Activation& activation) {
  const nb::handle f = object_;
  switch (node_->inputs.size()) {
    case 0:
      return f();
    case 1:
      return f(argument(activation, 0));
    case 2:
      return f(argument(activation, 0), argument(activation, 1));
    case 3:
      return f(argument(activation, 0), argument(activation, 1), argument(activation, 2));
    default:
      break;
  }
  nb::list arguments;
  for (std::size_t p = 0; p < node_->inputs.size(); ++p) arguments.append(argument(activation, p));
  return f(*nb::tuple(arguments));
}

void PythonBody::call(graph::Activation& activation) {
  nb::object result;
  {
    const BodyScope scope(*this);
    const KeptBlocks blocks(open_blocks_);
    result = in_python([&]() -> nb::object {
      if (node_->kind == BodyKind::call) return call_with_arguments(activation);
      if (node_->kind == BodyKind::expand) return nb::list(call_with_arguments(activation));
      PyObject* next = PyIter_Next(object_.ptr());
      if (next == nullptr && PyErr_Occurred() != nullptr) throw nb::python_error();
      return nb::steal(next);
    });
  }
  if (node_->kind != BodyKind::iterate) open_blocks_.clear();
  if (!result.is_valid()) {
    activation.end();
    return;
  }
  if (node_->kind != BodyKind::expand) {
    emit_result(activation, result);
    return;
  }
  for (nb::handle item : nb::borrow<nb::list>(result)) emit_result(activation, item);
}

void PythonBody::emit_result(graph::Activation& activation, nb::handle result) {
  if (node_->is_batch) {
    emit_batch(activation, result);
  } else {
    emit_outputs(result, 0);
  }
}

void PythonBody::emit_batch(graph::Activation& activation, nb::handle result) {
  if (node_->outputs.empty()) return;
  const auto expected = static_cast<Py_ssize_t>(activation.items());
  const bool is_list = PyList_Check(result.ptr()) || PyTuple_Check(result.ptr());
  if (!is_list || PySequence_Size(result.ptr()) != expected) {
    throw_error<GraphError>(
        "{}: with batch= the result is a list of the same length as the input: expected {}, found "
        "{}",
        node_->name, expected,
        is_list ? std::to_string(PySequence_Size(result.ptr()))
                : std::string(nb::type_name(result.type()).c_str()));
  }
  for (std::size_t i = 0; i < activation.items(); ++i) emit_outputs(result[i], i);
}

void PythonBody::emit_outputs(nb::handle result, std::size_t item) {
  const auto& outputs = node_->outputs;
  if (outputs.empty() || result.is_none()) return;
  if (outputs.size() == 1) {
    emit(0, result, item);
    return;
  }
  if (PyDict_Check(result.ptr())) {
    for (auto [key, value] : nb::borrow<nb::dict>(result)) {
      const auto name = nb::cast<std::string>(nb::str(key));
      std::size_t port = 0;
      while (port < outputs.size() && outputs[port] != name) ++port;
      if (port == outputs.size()) {
        throw_error<GraphError>("{}: the result names an output \"{}\"; it has {}", node_->name,
                                name, fmt::join(outputs, ", "));
      }
      emit(static_cast<std::uint32_t>(port), value, item);
    }
    return;
  }
  if (!PyTuple_Check(result.ptr()) ||
      length_of(result) != static_cast<Py_ssize_t>(outputs.size())) {
    throw_error<GraphError>(
        "{}: the result must be a tuple of {} or a dict, one entry for each of the outputs {}; "
        "found {}",
        node_->name, outputs.size(), fmt::join(outputs, ", "),
        nb::type_name(result.type()).c_str());
  }
  for (std::size_t p = 0; p < outputs.size(); ++p) {
    emit(static_cast<std::uint32_t>(p), result[p], item);
  }
}

void PythonBody::emit(std::uint32_t port, nb::handle value, std::size_t item) {
  if (value.is_none()) return;
  activation_->emit(port, message_of(value, node_->wraps_arrays[port]), item);
}

// A Penstock tensor that nobody but the message has.
bool PythonBody::may_write(const MessageData& message) {
  PyObject* object = own_object(message);
  if (object == nullptr) return Body::may_write(message);
  const Tensor* tensor = message.tensor();
  if (tensor == nullptr || own_tensor(object) == nullptr || tensor->readonly()) return false;
  const TensorData& data = tensor->impl();
  // One reference of the Python object, one of the message's value.
  return Py_REFCNT(object) == 1 && data.block->is_own() && data.ref_count() == 2 &&
         data.block->ref_count() == 1;
}

graph::MessageRef PythonBody::copy(const MessageData& message) {
  PyObject* object = own_object(message);
  if (object == nullptr) return Body::copy(message);
  const BodyScope scope(*this);
  std::optional<LibraryScope> libraries;
  if (!runner_->device().is_cpu() && is_in_use(runner_->device())) {
    libraries.emplace(runner_->stream());
  }
  graph::MessageRef own = in_python([&] {
    for (const char* method : {"clone", "copy", "__copy__"}) {
      const nb::object copies = nb::getattr(nb::handle(object), method, nb::none());
      if (!copies.is_none()) return message_of(copies(), false);
    }
    if (const std::optional<Tensor> array = as_array(object)) {
      return message_of(nb::cast(PyTensor(array->copy())), false);
    }
    throw_error<GraphError>(
        "{}: an input that is written got {}, which is shared and can't be copied", node_->name,
        nb::type_name(nb::handle(object).type()).c_str());
  });
  if (libraries) static_cast<void>(libraries->join());
  own->inherit(message);
  return own;
}

std::unique_ptr<graph::Body> PythonFactory::make(int instance) {
  static_cast<void>(instance);
  if (node_->kind == BodyKind::compute) return std::make_unique<ComputeBody>(node_);
  return std::make_unique<PythonBody>(node_);
}

bool PythonFactory::is_fatal(const std::exception_ptr& error) const {
  try {
    std::rethrow_exception(error);
  } catch (const PythonFailure& failure) {
    return failure.is_fatal();
  } catch (...) {
    return BodyFactory::is_fatal(error);
  }
}

}  // namespace penstock::pybridge
