#include "pybridge/value.hpp"

#include "base/throw.hpp"
#include "pybridge/containers.hpp"
#include "pybridge/failure.hpp"
#include "pybridge/graph_lane.hpp"
#include "pybridge/importer.hpp"
#include "pybridge/py_tensor.hpp"
#include "pybridge/type_traits.hpp"
#include "tensor/tensor_data.hpp"

#include <cxxabi.h>

#include <memory>
#include <optional>
#include <string>

namespace penstock::pybridge {
namespace {

PyValue& value_in(const void* storage) {
  return *std::launder(static_cast<PyValue*>(const_cast<void*>(storage)));
}

void destroy(void* storage) noexcept {
  PyValue& value = value_in(storage);
  if (value.tensor != nullptr) value.tensor->release();
  delete value.tensors;
  retire(value.object);
}

// The Tensor that lies over a pointer to its data, as Tensor's only member.
const Tensor* tensor_of(const void* storage) noexcept {
  static_assert(sizeof(Tensor) == sizeof(TensorData*));
  const PyValue& value = value_in(storage);
  return value.tensor == nullptr ? nullptr : reinterpret_cast<const Tensor*>(&value.tensor);
}

// Containers are looked through by whoever has the GIL: the lane, before it runs a body.
void visit_tensors(const void* storage, void (*visit)(void* context, const Tensor&),
                   void* context) {
  const PyValue& value = value_in(storage);
  if (value.tensors != nullptr) {
    for (const Tensor& tensor : *value.tensors) visit(context, tensor);
    return;
  }
  if (value.container == nullptr || GraphLane::current() == nullptr) return;
  for_each_tensor(value.container, [&](const Tensor& tensor) { visit(context, tensor); });
}

const ValueType py_value_type{&typeid(PyValue), &destroy, &tensor_of, &visit_tensors};

bool is_plain(PyObject* object) {
  return object == Py_None || PyLong_CheckExact(object) || PyFloat_CheckExact(object) ||
         PyUnicode_CheckExact(object) || PyBool_Check(object) || PyBytes_CheckExact(object);
}

// The tensors in a container, other libraries' arrays too.
void collect(nb::handle value, std::vector<Tensor>& into, int depth = 0) {
  constexpr int kDeepest = 4;
  if (is_plain(value.ptr())) return;
  if (const Tensor* own = own_tensor(value); own != nullptr) {
    into.push_back(*own);
  } else if (!is_container(value)) {
    if (auto wrapped = as_array(value)) into.push_back(*std::move(wrapped));
  } else if (depth < kDeepest) {
    const bool is_dict = PyDict_Check(value.ptr());
    const nb::object items = is_image(value) ? nb::object(value.attr("planes"))
                             : is_dict       ? nb::object(value.attr("values")())
                                             : nb::borrow(value);
    for (nb::handle item : items) collect(item, into, depth + 1);
  }
}

template <class T>
const T* get(const MessageData& message) {
  if (*message.type->info != typeid(T)) return nullptr;
  return &detail::value_at<T>(const_cast<void*>(message.value()));
}

}  // namespace

std::optional<Tensor> as_array(nb::handle object) {
  try {
    return import_tensor(object, {}, nb::none());
  } catch (const ArgumentTypeError&) {
    return std::nullopt;
  }
}

Ref<MessageData> message_of(nb::handle object, bool for_cpp) {
  PyObject* const plain = object.ptr();
  TensorData* tensor = nullptr;
  PyObject* container = nullptr;
  std::unique_ptr<std::vector<Tensor>> tensors;
  if (!is_plain(plain)) {
    if (const Tensor* own = own_tensor(object); own != nullptr) {
      tensor = &own->impl();
      tensor->retain();
    } else if (is_container(object)) {
      container = plain;
      if (for_cpp) {
        tensors = std::make_unique<std::vector<Tensor>>();
        collect(object, *tensors);
      }
    } else if (for_cpp) {
      if (const auto wrapped = as_array(object)) {
        tensor = &wrapped->impl();
        tensor->retain();
      }
    }
  }
  MessageData* message = MessageData::allocate();
  Py_INCREF(plain);
  new (message->storage) PyValue{plain, tensor, container, tensors.release()};
  message->type = &py_value_type;
  return Ref<MessageData>::adopt(message);
}

PyObject* own_object(const MessageData& message) {
  return message.type == &py_value_type ? value_in(message.value()).object : nullptr;
}

bool may_be_on_device(const MessageData& message) {
  PyObject* own = own_object(message);
  return own != nullptr && !is_plain(own) && !traits_of(own).is_numpy;
}

nb::object object_of(const MessageData& message) {
  if (PyObject* own = own_object(message); own != nullptr) return nb::borrow(own);
  if (const Tensor* tensor = message.tensor()) return nb::cast(PyTensor(*tensor));
  if (const auto* value = get<bool>(message)) return nb::bool_(*value);
  if (const auto* value = get<int>(message)) return nb::int_(*value);
  if (const auto* value = get<std::int64_t>(message)) return nb::int_(*value);
  if (const auto* value = get<float>(message)) return nb::float_(*value);
  if (const auto* value = get<double>(message)) return nb::float_(*value);
  if (const auto* value = get<std::string>(message)) return nb::str(value->c_str(), value->size());
  throw_error<ArgumentTypeError>(
      "message: a C++ value of type {} has no form in Python; pass a tensor, a number or a string",
      message.type->info->name());
}

}  // namespace penstock::pybridge
