#include "pybridge/type_traits.hpp"

#include "pybridge/names.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/registry.hpp"

#include <string>
#include <unordered_map>

namespace penstock::pybridge {
namespace {

// Types are kept alive, or an address might come back as another type; there are few of them.
constexpr std::size_t kTypesKept = 256;

bool is_masked(nb::handle type) {
  const nb::object modules = nb::module_::import_("sys").attr("modules");
  const nb::object masked = modules.attr("get")("numpy.ma");
  const nb::object array = nb::getattr(masked, "MaskedArray", nb::none());
  return PyType_Check(array.ptr()) != 0 &&
         PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type.ptr()),
                          reinterpret_cast<PyTypeObject*>(array.ptr())) != 0;
}

TypeTraits look_up(nb::handle type) {
  TypeTraits traits;
  const nb::handle own = nb::type<PyTensor>();
  traits.is_own = PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type.ptr()),
                                   reinterpret_cast<PyTypeObject*>(own.ptr())) != 0;
  const auto module = nb::cast<std::string>(nb::str(type.attr("__module__")));
  const bool is_array = nb::cast<std::string>(nb::str(type.attr("__name__"))) == "ndarray";
  traits.is_numpy = is_array && module == "numpy";
  traits.is_cupy = is_array && module == "cupy";
  traits.is_masked = is_masked(type);
  traits.is_image = type.is(registry().image);
  const nb::object capsule = nb::getattr(type, names().exchange_api, nb::none());
  if (PyCapsule_IsValid(capsule.ptr(), dlpack::kExchangeCapsule) == 0) return traits;
  const auto* api = static_cast<const dlpack::ExchangeApi*>(
      PyCapsule_GetPointer(capsule.ptr(), dlpack::kExchangeCapsule));
  while (api != nullptr && api->header.version.major != dlpack::kMajorVersion) {
    api = reinterpret_cast<const dlpack::ExchangeApi*>(api->header.prev_api);
  }
  traits.exchange = api;
  traits.has_requires_grad = nb::hasattr(type, names().requires_grad);
  traits.is_torch = nb::hasattr(type, names().is_neg);
  return traits;
}

}  // namespace

TypeTraits traits_of(nb::handle object) {
  static auto* types = new std::unordered_map<PyObject*, TypeTraits>;
  static PyObject* last = nullptr;
  static TypeTraits last_traits;
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(object.ptr()));
  if (type == last) return last_traits;
  auto found = types->find(type);
  if (found == types->end()) {
    if (types->size() == kTypesKept) {
      for (auto& [kept, entry] : *types) Py_DECREF(kept);
      types->clear();
    }
    const TypeTraits traits = look_up(type);
    Py_INCREF(type);
    found = types->emplace(type, traits).first;
  }
  last = type;
  last_traits = found->second;
  return last_traits;
}

}  // namespace penstock::pybridge
