#include "pybridge/importer.hpp"

#include "base/throw.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/py_tensor.hpp"

namespace penstock::pybridge {

const Tensor* own_tensor(nb::handle object) {
  PyTensor* own = nullptr;
  return nb::try_cast<PyTensor*>(object, own) && own != nullptr ? &own->get() : nullptr;
}

Tensor import_tensor(nb::handle object, Layout layout, nb::handle on_release) {
  if (const Tensor* own = own_tensor(object); own != nullptr) {
    if (!on_release.is_none()) {
      throw_error<TensorError>("as_tensor: on_release is for other libraries' memory, not for a Tensor");
    }
    return layout.empty() ? *own : own->view(layout);
  }
  if (auto tensor = import_exchange(object, layout, on_release)) return *std::move(tensor);
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
