#include "pybridge/importer.hpp"

#include "base/throw.hpp"
#include "exec/fork.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/type_traits.hpp"

namespace penstock::pybridge {

namespace {

// A class may skip our __init__, or call as_tensor before it.
const Tensor& tensor_in(nb::handle object) {
  if (!nb::inst_ready(object)) {
    throw_error<ArgumentTypeError>(
        "as_tensor: this {} was never initialised; call super().__init__",
        nb::type_name(object.type()).c_str());
  }
  return nb::inst_ptr<PyTensor>(object)->get();
}

}  // namespace

const Tensor* own_tensor(nb::handle object) {
  return traits_of(object).is_own ? &tensor_in(object) : nullptr;
}

namespace {

constexpr const char* kAccepted =
    "penstock.Tensor and Image, objects with __dlpack__ (NumPy, PyTorch, CuPy, JAX), "
    "__cuda_array_interface__, the buffer protocol or __array_interface__, and OpenCV's GpuMat";

// What follows __dlpack__, in order. Empty: the object speaks none of them.
std::optional<Tensor> import_otherwise(nb::handle object, const Layout& layout,
                                       nb::handle on_release) {
  for (auto* import : {import_cuda_array, import_buffer, import_array, import_gpu_mat}) {
    if (auto tensor = import(object, layout, on_release)) return tensor;
  }
  return std::nullopt;
}

// The producer refused by a BufferError: what else it speaks, and if nothing fits, that error.
Tensor import_refused(nb::handle object, const Layout& layout, nb::handle on_release,
                      PyRef refusal) {
  try {
    if (auto tensor = import_otherwise(object, layout, on_release)) return *std::move(tensor);
  } catch (const TensorError& error) {
    throw_error<ExchangeError>("{}; __dlpack__ said: {}", error.what(),
                               nb::str(nb::handle(refusal.get())).c_str());
  }
  throw PythonFailure(std::move(refusal));
}

}  // namespace

Tensor import_tensor(nb::handle object, Layout layout, nb::handle on_release) {
  const TypeTraits type = traits_of(object);
  if (type.is_own) {
    if (!on_release.is_none()) {
      throw_error<TensorError>(
          "as_tensor: on_release is for other libraries' memory, not for a Tensor");
    }
    const Tensor& own = tensor_in(object);
    return layout.empty() ? own : own.view(layout);
  }
  exec::throw_if_forked("as_tensor");
  if (!on_release.is_none() && PyCallable_Check(on_release.ptr()) == 0) {
    throw_error<ArgumentTypeError>("as_tensor: on_release is {}, which can't be called",
                                   nb::repr(on_release).c_str());
  }
  if (type.is_masked) {
    throw_error<TensorError>(
        "as_tensor: mask: {} is not accepted; pass x.filled(), or x.data for all of it",
        nb::type_name(object.type()).c_str());
  }
  if (type.is_image) return import_tensor(object.attr("tensor")(), layout, on_release);
  PyRef refusal;
  if (type.exchange != nullptr) {
    if (auto tensor = import_exchange(object, type, layout, on_release, refusal))
      return *std::move(tensor);
  }
  if (type.is_cupy) return import_cupy(object, layout, on_release);
  // NumPy's arrays say the same by the buffer protocol, in a fifth of the time.
  if (type.is_numpy) {
    if (auto tensor = import_buffer(object, layout, on_release)) return *std::move(tensor);
  }
  if (PyType_Check(object.ptr()) == 0) {
    if (auto tensor = import_dlpack(object, layout, on_release, refusal)) return *std::move(tensor);
    if (refusal) return import_refused(object, layout, on_release, std::move(refusal));
    if (auto tensor = import_otherwise(object, layout, on_release)) return *std::move(tensor);
  }
  throw_error<ArgumentTypeError>("as_tensor: {} is not accepted; accepted are {}",
                                 nb::type_name(object.type()).c_str(), kAccepted);
}

}  // namespace penstock::pybridge
