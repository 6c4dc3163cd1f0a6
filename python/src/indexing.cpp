#include "indexing.hpp"

#include "base/throw.hpp"

#include <vector>

namespace penstock::pybridge {
namespace {

bool is_integer(nb::handle index) {
  return PyIndex_Check(index.ptr()) != 0 && !PyBool_Check(index.ptr());
}

// Dimensions of the tensor that the entries use.
int used_dims(const std::vector<nb::object>& entries) {
  int used = 0;
  for (const nb::object& entry : entries) {
    if (is_integer(entry) || PySlice_Check(entry.ptr())) ++used;
  }
  return used;
}

// `named` is the dimension in the user's count.
Tensor select(const Tensor& tensor, int dim, nb::handle index, int named) {
  const std::int64_t extent = tensor.shape()[static_cast<std::size_t>(dim)];
  const Py_ssize_t at = PyNumber_AsSsize_t(index.ptr(), PyExc_IndexError);
  if (at == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
  if (at < -extent || at >= extent) {
    throw nb::index_error(
        fmt::format("index {} is outside of dimension {} with {} elements", at, named, extent)
            .c_str());
  }
  return tensor.select(dim, at < 0 ? at + extent : at);
}

Tensor slice(const Tensor& tensor, int dim, nb::handle index) {
  Py_ssize_t begin = 0;
  Py_ssize_t end = 0;
  Py_ssize_t step = 0;
  if (PySlice_Unpack(index.ptr(), &begin, &end, &step) != 0) throw nb::python_error();
  const Py_ssize_t extent = tensor.shape()[static_cast<std::size_t>(dim)];
  const Py_ssize_t count = PySlice_AdjustIndices(extent, &begin, &end, step);
  if (count == 0) return tensor.slice(dim, 0, 0);
  return tensor.slice(dim, begin, step > 0 ? end : (end < -1 ? -1 : end), step);
}

// A new dimension of one element.
Tensor insert(const Tensor& tensor, int dim) {
  Shape shape(tensor.shape().begin(), tensor.shape().end());
  shape.insert(shape.begin() + dim, 1);
  return tensor.reshape(shape);
}

}  // namespace

Tensor index_tensor(const Tensor& tensor, nb::handle index) {
  std::vector<nb::object> entries;
  if (PyTuple_Check(index.ptr())) {
    for (nb::handle entry : index) entries.push_back(nb::borrow(entry));
  } else {
    entries.push_back(nb::borrow(index));
  }
  const int used = used_dims(entries);
  if (used > tensor.ndim()) {
    throw nb::index_error(
        fmt::format("{} indices for a tensor with {} dimensions", used, tensor.ndim()).c_str());
  }
  Tensor view = tensor;
  int dim = 0;
  int named = 0;
  bool has_ellipsis = false;
  for (const nb::object& entry : entries) {
    if (entry.ptr() == Py_Ellipsis) {
      if (has_ellipsis) throw nb::index_error("an index has one Ellipsis at most");
      has_ellipsis = true;
      dim += tensor.ndim() - used;
      named += tensor.ndim() - used;
    } else if (entry.is_none()) {
      view = insert(view, dim++);
    } else if (is_integer(entry)) {
      view = select(view, dim, entry, named++);
    } else if (PySlice_Check(entry.ptr())) {
      view = slice(view, dim++, entry);
      ++named;
    } else {
      throw_error<ArgumentTypeError>(
          "Tensor: an index is {}; integers, slices, Ellipsis and None are accepted",
          nb::type_name(entry.type()).c_str());
    }
  }
  return view;
}

}  // namespace penstock::pybridge
