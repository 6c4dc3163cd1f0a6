#include "pybridge/importer.hpp"

#include "base/throw.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/type_traits.hpp"

namespace penstock::pybridge {

const Tensor* own_tensor(nb::handle object) {
  return traits_of(object).is_own ? &nb::inst_ptr<PyTensor>(object)->get() : nullptr;
}

Tensor import_tensor(nb::handle object, Layout layout, nb::handle on_release) {
  const TypeTraits type = traits_of(object);
  if (type.is_own) {
    if (!on_release.is_none()) {
      throw_error<TensorError>("as_tensor: on_release is for other libraries' memory, not for a Tensor");
    }
    const Tensor& own = nb::inst_ptr<PyTensor>(object)->get();
    return layout.empty() ? own : own.view(layout);
  }
  if (type.exchange != nullptr) return import_exchange(object, type, layout, on_release);
  // NumPy's arrays say the same by the buffer protocol, in a fifth of the time.
  if (type.is_numpy) {
    if (auto tensor = import_buffer(object, layout, on_release)) return *std::move(tensor);
  }
  PyRef refusal;
  if (auto tensor = import_dlpack(object, layout, on_release, refusal)) return *std::move(tensor);
  for (auto* import : {import_cuda_array, import_buffer, import_array, import_gpu_mat}) {
    if (auto tensor = import(object, layout, on_release)) return *std::move(tensor);
  }
  if (refusal) throw PythonFailure(std::move(refusal));
  throw_error<ArgumentTypeError>(
      "as_tensor: {} is not accepted; accepted are objects with __dlpack__ (NumPy, PyTorch, CuPy, JAX), "
      "__cuda_array_interface__, the buffer protocol or __array_interface__, and OpenCV's GpuMat",
      nb::type_name(object.type()).c_str());
}

}  // namespace penstock::pybridge
