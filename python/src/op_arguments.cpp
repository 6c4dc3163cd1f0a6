#include "op_arguments.hpp"

#include "base/throw.hpp"
#include "pybridge/host_wait.hpp"
#include "pybridge/importer.hpp"

#include <utility>

namespace penstock::pybridge {
namespace {

// An array as Python's own lists and numbers; these as they are.
nb::object plain(nb::handle object) {
  if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr()) || PyFloat_Check(object.ptr()) ||
      PyLong_Check(object.ptr())) {
    return nb::borrow(object);
  }
  if (own_tensor(object) != nullptr) return object.attr("numpy")().attr("tolist")();
  const nb::object to_list = nb::getattr(object, "tolist", nb::none());
  return to_list.is_none() ? nb::borrow(object) : to_list();
}

// -1: it is no list and no tuple.
Py_ssize_t length_of(nb::handle object) {
  if (PyList_Check(object.ptr())) return PyList_Size(object.ptr());
  return PyTuple_Check(object.ptr()) ? PyTuple_Size(object.ptr()) : -1;
}

// A reference of one's own: another thread may change the list meanwhile.
nb::object item_of(nb::handle sequence, Py_ssize_t index) {
  nb::object item = nb::steal(PySequence_GetItem(sequence.ptr(), index));
  if (!item.is_valid()) throw nb::python_error();
  return item;
}

double number_from(nb::handle object, const std::string& what) {
  const double value = PyFloat_AsDouble(object.ptr());
  if (value == -1.0 && PyErr_Occurred() != nullptr) {
    const bool is_type = PyErr_ExceptionMatches(PyExc_TypeError) != 0;
    PyErr_Clear();
    if (!is_type) {
      throw_error<TensorError>("{}: {} is no finite number", what, nb::repr(object).c_str());
    }
    throw_error<ArgumentTypeError>("{}: {} is no number", what, nb::repr(object).c_str());
  }
  return value;
}

// One row's numbers, read without a name for each: that is made when one is wrong.
Box box_from(nb::handle object, Py_ssize_t index) {
  const auto name = [index] { return fmt::format("draw_boxes: boxes[{}]", index); };
  const nb::object row = plain(object);
  const Py_ssize_t length = length_of(row);
  if (length != 4) {
    constexpr const char* text = "{} is {}, expected 4 numbers: x1, y1, x2, y2";
    if (length < 0) throw_error<ArgumentTypeError>(text, name(), nb::repr(object).c_str());
    throw_error<TensorError>(text, name(), nb::repr(object).c_str());
  }
  double edges[4];
  for (Py_ssize_t i = 0; i < 4; ++i) {
    const nb::object edge = item_of(row, i);
    edges[i] = PyFloat_AsDouble(edge.ptr());
    if (edges[i] == -1.0 && PyErr_Occurred() != nullptr) edges[i] = number_from(edge, name());
  }
  return {edges[0], edges[1], edges[2], edges[3]};
}

}  // namespace

OpArguments::OpArguments(const char* op, nb::handle out, nb::handle stream)
    : op_(op), out_(out), stream_(stream_from(stream)) {
  if (!out.is_none()) target_.emplace(tensor_from(out, op, "out"));
}

void OpArguments::wait(const Tensor& source) const {
  if (!works_here(stream_ ? &stream_->impl() : nullptr)) return;
  wait_until_used(source, false, op_);
  if (target_) wait_until_used(target_->get(), true, op_);
}

nb::object OpArguments::result(Tensor made) const {
  if (target_ && own_tensor(out_) != nullptr) return nb::borrow(out_);
  return nb::cast(PyTensor(std::move(made)));
}

Size size_from(nb::handle object, const char* op) {
  const std::string what = fmt::format("{}: size", op);
  if (length_of(object) != 2) {
    throw_error<ArgumentTypeError>("{} is {}, expected (height, width)", what,
                                   nb::repr(object).c_str());
  }
  return {integer_from(object[0], what.c_str()), integer_from(object[1], what.c_str())};
}

std::vector<double> numbers_from(nb::handle object, const char* what) {
  const nb::object values = plain(object);
  const Py_ssize_t length = length_of(values);
  if (length < 0) return {number_from(values, what)};
  if (length == 0) throw_error<TensorError>("{} is empty, expected a number or several", what);
  std::vector<double> numbers;
  numbers.reserve(static_cast<std::size_t>(length));
  for (Py_ssize_t i = 0; i < length; ++i) {
    numbers.push_back(number_from(plain(item_of(values, i)), what));
  }
  return numbers;
}

AffineMatrix matrix_from(nb::handle object, const char* what) {
  const nb::object rows = plain(object);
  const Py_ssize_t length = length_of(rows);
  if (length < 0) {
    throw_error<ArgumentTypeError>("{} is {}, expected 2 rows of 3 numbers", what,
                                   nb::type_name(object.type()).c_str());
  }
  AffineMatrix matrix{};
  for (Py_ssize_t r = 0; r < 2; ++r) {
    const nb::object row = length == 2 ? plain(item_of(rows, r)) : nb::none();
    if (length_of(row) != 3) {
      throw_error<TensorError>("{} is {}, expected 2 rows of 3 numbers{}", what,
                               nb::repr(rows).c_str(),
                               length == 3 ? "; of a 3x3 matrix pass the first two rows" : "");
    }
    for (Py_ssize_t c = 0; c < 3; ++c) {
      matrix[static_cast<std::size_t>(3 * r + c)] = number_from(plain(item_of(row, c)), what);
    }
  }
  return matrix;
}

std::variant<std::vector<Box>, Tensor> boxes_from(nb::handle object) {
  if (object.is_none()) return std::vector<Box>();
  const Py_ssize_t length = length_of(object);
  if (length < 0) return tensor_from(object, "draw_boxes", "boxes");
  std::vector<Box> boxes;
  boxes.reserve(static_cast<std::size_t>(length));
  // Its length is asked again: code of a box's own may have changed the list.
  for (Py_ssize_t i = 0; i < length_of(object); ++i) {
    boxes.push_back(box_from(item_of(object, i), i));
  }
  return boxes;
}

}  // namespace penstock::pybridge
