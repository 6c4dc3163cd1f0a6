#include "pybridge/dtypes.hpp"

#include "pybridge/registry.hpp"

#include <string>
#include <unordered_map>

namespace penstock::pybridge {

nb::object dtype_object(Dtype dtype) {
  static auto* objects = new std::unordered_map<int, PyObject*>;
  const int key = static_cast<int>(dtype.code) << 8 | dtype.bits;
  auto found = objects->find(key);
  if (found == objects->end()) {
    const std::string name(dtype.name());
    nb::object made = nb::handle(registry().dtype)(name);
    found = objects->emplace(key, made.release().ptr()).first;
  }
  return nb::borrow(found->second);
}

Dtype dtype_from_object(nb::handle object) {
  if (PyUnicode_Check(object.ptr())) {
    Py_ssize_t length = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &length);
    if (text == nullptr) throw nb::python_error();
    return dtype_from_name({text, static_cast<std::size_t>(length)});
  }
  return dtype_from_name(nb::cast<std::string>(nb::handle(registry().dtype_name)(object)));
}

bool is_numpy_dtype(nb::handle object) { return nb::hasattr(object, "newbyteorder"); }

}  // namespace penstock::pybridge
