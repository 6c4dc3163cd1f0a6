// The buffer protocol of penstock.Tensor.
#include "base/throw.hpp"
#include "pybridge/exporter.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/host_wait.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/type_strings.hpp"
#include "tensor/tensor_data.hpp"

#include <array>
#include <memory>

namespace penstock::pybridge {
namespace {

// What a view's pointers point to.
struct Extents {
  std::array<Py_ssize_t, kMaxDims> shape;
  std::array<Py_ssize_t, kMaxDims> strides;
};

bool has(int flags, int flag) { return (flags & flag) == flag; }

bool is_fortran_contiguous(const Tensor& tensor) {
  std::int64_t expected = tensor.itemsize();
  for (std::size_t i = 0; i < tensor.shape().size(); ++i) {
    const std::int64_t extent = tensor.shape()[i];
    if (extent != 1 && tensor.strides()[i] != expected && tensor.size() > 1) return false;
    expected *= extent;
  }
  return true;
}

void check_request(const Tensor& tensor, int flags) {
  if (!tensor.device().is_cpu()) {
    throw_error<ExchangeError>("buffer: the tensor is on {}; use cpu() first",
                               tensor.device().str());
  }
  if (format_of(tensor.dtype()) == nullptr) {
    throw_error<ExchangeError>("buffer: dtype {} is none of the buffer protocol's; use __dlpack__",
                               tensor.dtype().name());
  }
  if (has(flags, PyBUF_WRITABLE) && tensor.readonly()) {
    throw_error<ExchangeError>("buffer: the tensor is read-only");
  }
  const bool is_packed = tensor.is_contiguous();
  const bool is_fortran = is_fortran_contiguous(tensor);
  const bool fits =
      (is_packed || !(has(flags, PyBUF_C_CONTIGUOUS) || !has(flags, PyBUF_STRIDES))) &&
      (is_fortran || !has(flags, PyBUF_F_CONTIGUOUS)) &&
      (is_packed || is_fortran || !has(flags, PyBUF_ANY_CONTIGUOUS));
  if (!fits) {
    throw_error<ExchangeError>(
        "buffer: the tensor is not contiguous as asked, its strides are {}; use "
        "copy()",
        describe_shape(tensor.strides()));
  }
}

void fill_view(PyObject* self, const Tensor& tensor, Py_buffer* view, int flags) {
  auto extents = std::make_unique<Extents>();
  for (std::size_t i = 0; i < tensor.shape().size(); ++i) {
    extents->shape[i] = tensor.shape()[i];
    extents->strides[i] = tensor.strides()[i];
  }
  const bool has_dims = has(flags, PyBUF_ND) && tensor.ndim() > 0;
  view->buf = tensor.data();
  view->obj = Py_NewRef(self);
  view->len = tensor.nbytes();
  view->itemsize = tensor.itemsize();
  view->readonly = tensor.readonly() ? 1 : 0;
  view->ndim = has(flags, PyBUF_ND) ? tensor.ndim() : 1;
  view->format = has(flags, PyBUF_FORMAT) ? const_cast<char*>(format_of(tensor.dtype())) : nullptr;
  view->shape = has_dims ? extents->shape.data() : nullptr;
  view->strides = has_dims && has(flags, PyBUF_STRIDES) ? extents->strides.data() : nullptr;
  view->suboffsets = nullptr;
  view->internal = extents.release();
}

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  try {
    const Tensor tensor = nb::cast<PyTensor&>(nb::handle(self)).get();
    check_request(tensor, flags);
    wait_for_host(tensor, "buffer");
    fill_view(self, tensor, view, flags);
    return 0;
  } catch (const std::exception&) {
    set_python_error(std::current_exception());
  }
  return -1;
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Extents*>(view->internal); }

}  // namespace

PyType_Slot buffer_slots[] = {
    {Py_bf_getbuffer, reinterpret_cast<void*>(&get_buffer)},
    {Py_bf_releasebuffer, reinterpret_cast<void*>(&release_buffer)},
    {0, nullptr},
};

}  // namespace penstock::pybridge
