#include "pybridge/task.hpp"

#include "base/throw.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/place.hpp"
#include "tensor/event_state.hpp"
#include "tensor/work.hpp"

#include <algorithm>
#include <vector>

namespace penstock::pybridge {
namespace {

// Calls body for every Penstock tensor in the value: itself, in a tuple, list or dict.
template <class Body>
void for_each_tensor(nb::handle value, Body&& body, int depth = 0) {
  if (const Tensor* tensor = own_tensor(value); tensor != nullptr) {
    body(*tensor);
  } else if (depth < 4 && (PyTuple_Check(value.ptr()) || PyList_Check(value.ptr()))) {
    for (nb::handle item : value) for_each_tensor(item, body, depth + 1);
  } else if (depth < 4 && PyDict_Check(value.ptr())) {
    for (auto [key, item] : nb::borrow<nb::dict>(value)) for_each_tensor(item, body, depth + 1);
  }
}

void add(std::vector<Operand>& operands, const Tensor& tensor, bool is_write) {
  for (Operand& known : operands) {
    if (known.tensor != &tensor.impl()) continue;
    known.is_write = known.is_write || is_write;
    return;
  }
  operands.push_back({&tensor.impl(), is_write});
}

std::string name_of(nb::handle function) {
  const nb::object name = nb::getattr(function, "__qualname__", nb::none());
  return name.is_none() ? nb::type_name(function.type()).c_str() : nb::cast<std::string>(name);
}

}  // namespace

PythonTask::PythonTask(PyRef function, PyRef arguments, PyRef keywords, Ref<order::Stream> stream,
                       std::shared_ptr<LaunchResult> result)
    : function_(std::move(function)),
      arguments_(std::move(arguments)),
      keywords_(std::move(keywords)),
      stream_(std::move(stream)),
      result_(std::move(result)) {}

void PythonTask::run() {
  const nb::gil_scoped_acquire gil;
  PyRef value =
      PyRef::steal(PyObject_Call(function_.get(), arguments_.get(), keywords_.get()));
  if (!value) {
    PyRef exception = take_python_error();
    result_->exception = PyRef::borrow(exception.get());
    throw PythonFailure(std::move(exception));
  }
  note_results(value.get());
  result_->value = std::move(value);
  const RetireHere scope;
  function_ = PyRef();
  arguments_ = PyRef();
  keywords_ = PyRef();
}

void PythonTask::note_results(nb::handle value) {
  for_each_tensor(value, [&](const Tensor& tensor) {
    if (tensor.device() == stream_->device()) tensor.impl().block->used(*stream_, true);
  });
}

PyEvent launch(order::Stream& stream, nb::handle function, nb::tuple arguments, nb::handle writes,
               nb::dict keywords) {
  if (PyCallable_Check(function.ptr()) == 0) {
    throw_error<ArgumentTypeError>("launch: {} is not callable",
                                   nb::type_name(function.type()).c_str());
  }
  PythonLane::instance().start();
  std::vector<Operand> operands;
  for_each_tensor(arguments, [&](const Tensor& tensor) { add(operands, tensor, false); });
  for_each_tensor(keywords, [&](const Tensor& tensor) { add(operands, tensor, false); });
  if (!PyTuple_Check(writes.ptr()) && !PyList_Check(writes.ptr()) && own_tensor(writes) == nullptr) {
    throw_error<ArgumentTypeError>("launch: writes is {}, expected a tuple of tensors",
                                   nb::type_name(writes.type()).c_str());
  }
  for_each_tensor(writes, [&](const Tensor& tensor) { add(operands, tensor, true); });

  auto result = std::make_shared<LaunchResult>();
  auto task = std::make_unique<PythonTask>(
      PyRef::borrow(function.ptr()), PyRef::steal(arguments.release().ptr()),
      PyRef::steal(keywords.release().ptr()), Ref<order::Stream>::share(&stream), result);
  order::check::Tag tag;
  if (order::check::is_on()) tag = place_tag(name_of(function));
  auto state = std::make_shared<Event::State>();
  state->position = enqueue(stream, std::move(task), operands, tag);
  state->mark = stream.mark();
  return {Event(std::move(state)), std::move(result)};
}

}  // namespace penstock::pybridge
