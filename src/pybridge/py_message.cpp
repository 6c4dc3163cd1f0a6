#include "pybridge/py_message.hpp"

#include "pybridge/registry.hpp"
#include "pybridge/value.hpp"

#include <memory>
#include <utility>

namespace penstock::pybridge {
namespace {

constexpr double kSecond = 1e9;
constexpr const char* kPythonObject = "a Python object";

nb::object object_from(const MetadataValue& value) {
  return std::visit(
      [](const auto& held) -> nb::object {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, Opaque>) {
          if (held.kind != kPythonObject) return nb::none();
          return nb::borrow(static_cast<PyRef*>(held.value.get())->get());
        } else if constexpr (std::is_same_v<T, std::string>) {
          return nb::str(held.c_str(), held.size());
        } else {
          return nb::cast(held);
        }
      },
      value);
}

MetadataValue value_from(nb::handle object) {
  if (PyBool_Check(object.ptr())) return object.is(Py_True);
  if (PyFloat_CheckExact(object.ptr())) return nb::cast<double>(object);
  if (PyUnicode_CheckExact(object.ptr())) return nb::cast<std::string>(object);
  if (PyLong_CheckExact(object.ptr())) {
    std::int64_t number = 0;
    if (nb::try_cast(object, number)) return number;
  }
  return Opaque{std::make_shared<PyRef>(PyRef::borrow(object.ptr())), kPythonObject};
}

nb::object seconds_of(const MessageData& message) {
  if (message.time_ns >= 0) return nb::float_(static_cast<double>(message.time_ns) / kSecond);
  if (message.born_ns > 0) return nb::float_(static_cast<double>(message.born_ns) / kSecond);
  return nb::none();
}

std::string name_of(const Origin& origin, const std::vector<std::string>& names) {
  return origin.source < names.size() ? names[origin.source] : std::string();
}

}  // namespace

PyMessage::PyMessage(const graph::Activation& activation, const std::vector<std::string>& names,
                     bool is_list)
    : is_list_(is_list) {
  for (std::size_t i = 0; i < activation.items(); ++i) {
    const MessageData* lead = activation.lead(i);
    origins_.push_back(lead == nullptr ? activation.origin : lead->origin);
    sources_.push_back(name_of(origins_.back(), names));
  }
  if (const MessageData* lead = activation.lead(); lead != nullptr) {
    time_ = seconds_of(*lead);
    has_time_ = lead->time_ns >= 0;
    given_ = lead->metadata;
  }
}

PyMessage::PyMessage(const MessageData& message, const std::vector<std::string>& names)
    : origins_{message.origin},
      sources_{name_of(message.origin, names)},
      time_(seconds_of(message)),
      has_time_(message.time_ns >= 0),
      given_(message.metadata) {
  if (message.type != nullptr) value_ = object_of(message);
}

nb::object PyMessage::origin_object(const Origin& origin) const {
  const auto index = static_cast<std::size_t>(&origin - origins_.data());
  const nb::object sub = origin.sub == kNoSub ? nb::object(nb::none()) : nb::int_(origin.sub);
  return nb::handle(registry().origin)(sources_[index], origin.number, sub);
}

nb::object PyMessage::origin() const {
  if (!is_list_) return origin_object(origins_.front());
  nb::list all;
  for (const Origin& origin : origins_) all.append(origin_object(origin));
  return all;
}

void PyMessage::set_time(nb::handle seconds) {
  time_ = nb::borrow(seconds);
  is_time_set_ = true;
  has_time_ = !seconds.is_none();
}

nb::dict PyMessage::metadata() {
  if (!metadata_) {
    metadata_.emplace();
    if (given_) {
      for (const auto& [name, value] : *given_) (*metadata_)[name.c_str()] = object_from(value);
    }
  }
  return *metadata_;
}

void PyMessage::apply(graph::Activation& activation) const {
  std::shared_ptr<Metadata> metadata;
  if (metadata_) {
    metadata = std::make_shared<Metadata>();
    for (auto [name, value] : *metadata_) {
      metadata->emplace(nb::cast<std::string>(nb::str(name)), value_from(value));
    }
  }
  for (graph::Staged& staged : activation.outputs) {
    if (metadata) staged.message->metadata = metadata;
    if (is_time_set_) {
      staged.message->time_ns =
          time_.is_none() ? -1 : static_cast<std::int64_t>(nb::cast<double>(time_) * kSecond);
    }
  }
}

}  // namespace penstock::pybridge
