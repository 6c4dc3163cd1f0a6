#include "pybridge/task.hpp"

#include "base/throw.hpp"
#include "pybridge/current.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/place.hpp"
#include "pybridge/registry.hpp"
#include "pybridge/type_traits.hpp"
#include "tensor/event_state.hpp"
#include "tensor/work.hpp"

#include <algorithm>
#include <vector>

namespace penstock::pybridge {
namespace {

constexpr int kDeepest = 4;

// Calls body for every Penstock tensor in the value: itself, the planes of an Image, those in a
// tuple, list or dict.
template <class Body>
void for_each_tensor(nb::handle value, Body&& body, int depth = 0) {
  if (const Tensor* tensor = own_tensor(value); tensor != nullptr) {
    body(*tensor);
  } else if (is_image(value)) {
    for_each_tensor(value.attr("planes"), body, depth + 1);
  } else if (depth < kDeepest && (PyTuple_Check(value.ptr()) || PyList_Check(value.ptr()))) {
    for (nb::handle item : value) for_each_tensor(item, body, depth + 1);
  } else if (depth < kDeepest && PyDict_Check(value.ptr())) {
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

// A tensor or an image, or a tuple or list of them.
void add_writes(std::vector<Operand>& operands, nb::handle writes) {
  if (PyTuple_Check(writes.ptr()) || PyList_Check(writes.ptr())) {
    for (nb::handle item : writes) add_writes(operands, item);
    return;
  }
  if (own_tensor(writes) == nullptr && !is_image(writes)) {
    throw_error<ArgumentTypeError>("launch: writes has {}, expected tensors",
                                   nb::repr(writes).c_str());
  }
  for_each_tensor(writes, [&](const Tensor& tensor) {
    if (tensor.readonly()) {
      throw_error<TensorError>("launch: {} of writes is read-only", nb::repr(writes).c_str());
    }
    add(operands, tensor, true);
  });
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
  const AcquireGil gil;
  const EnteredTask entered(Stream(Ref<order::Stream>::share(stream_.get()).leak()));
  PyRef value = PyRef::steal(call_or_stay(
      [this] { return PyObject_Call(function_.get(), arguments_.get(), keywords_.get()); }));
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
    if (tensor.device() == stream_->device()) {
      tensor.impl().block->used_until(*stream_, result_->point, true);
    }
  });
}

PyEvent launch(order::Stream& stream, nb::handle function, nb::tuple arguments, nb::handle writes,
               nb::dict keywords) {
  if (PyCallable_Check(function.ptr()) == 0) {
    throw_error<ArgumentTypeError>("launch: {} is not callable",
                                   nb::type_name(function.type()).c_str());
  }
  if (PythonLane::instance().is_stopped() &&
      PyThread_get_thread_ident() == registry().main_thread) {
    throw_error<StreamError>("launch: the interpreter is at its end, and no task runs any more");
  }
  PythonLane::instance().start();
  std::vector<Operand> operands;
  for_each_tensor(arguments, [&](const Tensor& tensor) { add(operands, tensor, false); });
  for_each_tensor(keywords, [&](const Tensor& tensor) { add(operands, tensor, false); });
  add_writes(operands, writes);

  auto result = std::make_shared<LaunchResult>();
  auto task = std::make_unique<PythonTask>(
      PyRef::borrow(function.ptr()), PyRef::steal(arguments.release().ptr()),
      PyRef::steal(keywords.release().ptr()), Ref<order::Stream>::share(&stream), result);
  order::check::Tag tag;
  if (order::check::is_on()) tag = place_tag(name_of(function));
  auto state = std::make_shared<Event::State>();
  state->position = enqueue(stream, std::move(task), operands, tag);
  state->mark = stream.mark();
  result->point = state->mark->point();  // the task waits for the GIL, so it comes later
  return {Event(std::move(state)), std::move(result)};
}

}  // namespace penstock::pybridge
