#include "pybridge/dtypes.hpp"

#include "pybridge/registry.hpp"

#include <penstock/error.hpp>

#include <string>
#include <unordered_map>

namespace penstock::pybridge {

nb::object dtype_object(Dtype dtype) {
  static auto* objects = new std::unordered_map<int, PyObject*>;
  const int key = static_cast<int>(dtype.code) << 8 | dtype.bits;
  auto found = objects->find(key);
  if (found == objects->end()) {
    const std::string name(dtype.name());
    nb::object made = call_or_stay([&] { return nb::handle(registry().dtype)(name); });
    found = objects->emplace(key, made.release().ptr()).first;
  }
  return nb::borrow(found->second);
}

Dtype dtype_from_object(nb::handle object) {
  const auto read = [](nb::handle text) {
    Py_ssize_t length = 0;
    const char* characters = PyUnicode_AsUTF8AndSize(text.ptr(), &length);
    if (characters == nullptr) throw nb::python_error();
    return dtype_from_name({characters, static_cast<std::size_t>(length)});
  };
  if (PyUnicode_Check(object.ptr())) {
    try {
      return read(object);
    } catch (const TensorError&) {  // one of NumPy's other words, such as "<f4"
    }
  }
  return read(call_or_stay([&] { return nb::handle(registry().dtype_name)(object); }));
}

bool is_numpy_dtype(nb::handle object) { return nb::hasattr(object, "newbyteorder"); }

}  // namespace penstock::pybridge
