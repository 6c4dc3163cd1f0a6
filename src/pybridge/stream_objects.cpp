#include "pybridge/stream_objects.hpp"

#include "base/throw.hpp"
#include "pybridge/names.hpp"
#include "pybridge/registry.hpp"

namespace penstock::pybridge {

std::optional<Stream> stream_from(nb::handle object) {
  if (object.is_none()) return std::nullopt;
  const nb::object impl = nb::steal(PyObject_GetAttr(object.ptr(), names().impl.ptr()));
  if (!impl.is_valid()) PyErr_Clear();
  Stream* stream = nullptr;
  if (!impl.is_valid() || !nb::try_cast<Stream*>(impl, stream) || stream == nullptr) {
    throw_error<StreamError>(
        "stream: {} is no penstock.Stream; use as_stream() for other libraries'",
        nb::type_name(object.type()).c_str());
  }
  return *stream;
}

nb::object stream_object(const Stream& stream) {
  return call_or_stay(
      [&] { return nb::object(nb::handle(registry().stream)(nb::cast(Stream(stream)))); });
}

}  // namespace penstock::pybridge
