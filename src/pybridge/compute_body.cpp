#include "pybridge/compute_body.hpp"

#include "base/nearest.hpp"
#include "base/throw.hpp"
#include "pybridge/body_scope.hpp"
#include "pybridge/names.hpp"
#include "pybridge/place.hpp"
#include "pybridge/stream_objects.hpp"
#include "pybridge/value.hpp"
#include "tensor/work.hpp"

#include <string_view>
#include <utility>

namespace penstock::pybridge {

ComputeBody& ComputeHandle::get() const {
  if (body == nullptr) {
    throw_error<GraphError>(
        "context: the run of this operator is over; it is valid from start to stop");
  }
  return *body;
}

void ComputeBody::start(graph::Instance& instance) {
  PythonBody::start(instance);
  inputs_ = nb::cast(PyInputs{{this}});
  outputs_ = nb::cast(PyOutputs{{this}});
  context_ = nb::cast(PyContext{{this}});
  received_.resize(node_->inputs.size());
  in_python([&] {
    nb::setattr(object_, "context", context_);
    object_.attr("start")();
  });
}

void ComputeBody::stop() {
  if (!context_.is_valid()) return;
  const nb::object object = object_;
  const nb::object context = std::exchange(context_, nb::object());
  const nb::object inputs = std::exchange(inputs_, nb::object());
  const nb::object outputs = std::exchange(outputs_, nb::object());
  struct Last {  // the handles outlive the body as dead ones
    ComputeHandle* handles[3];
    ~Last() {
      for (ComputeHandle* handle : handles) handle->body = nullptr;
    }
  } const last{{nb::inst_ptr<PyContext>(context), nb::inst_ptr<PyInputs>(inputs),
                nb::inst_ptr<PyOutputs>(outputs)}};
  try {
    in_python([&] { object.attr("stop")(); });
  } catch (...) {
    release_streams();
    throw;
  }
  release_streams();
  PythonBody::stop();
  in_python([&] { nb::setattr(object, "context", nb::none()); });
}

void ComputeBody::call(graph::Activation& activation) {
  static_cast<void>(activation);
  received_.assign(received_.size(), 0);
  const BodyScope scope(*this);
  in_python([&] { object_.attr(names().compute)(inputs_, outputs_, context_); });
}

graph::Activation& ComputeBody::running(const char* what) const {
  if (activation() == nullptr) {
    throw_error<GraphError>("{}: {} works inside of compute() only", node_->name, what);
  }
  return *activation();
}

std::size_t ComputeBody::find(const std::vector<std::string>& ports, nb::handle name,
                              const char* kind) const {
  if (name.is_none() && ports.size() == 1) return 0;
  const std::string wanted = name.is_none() ? std::string() : nb::cast<std::string>(nb::str(name));
  for (std::size_t p = 0; p < ports.size(); ++p) {
    if (ports[p] == wanted) return p;
  }
  const std::vector<std::string_view> known(ports.begin(), ports.end());
  const std::string_view near = nearest(wanted, known);
  throw_error<GraphError>("{}: no {} \"{}\"; it has {}{}", node_->name, kind, wanted,
                          fmt::join(ports, ", "),
                          near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
}

nb::object ComputeBody::receive(nb::handle port) {
  const graph::Activation& activation = running("receive");
  const std::size_t p = find(node_->inputs, port, "input");
  const auto messages = activation.port(p);
  const std::size_t at = received_[p]++;
  if (node_->is_any_size[p] || node_->is_list[p]) {
    return at == 0 && !messages.empty() && messages.front() ? argument(activation, p) : nb::none();
  }
  if (at >= messages.size() || !messages[at]) return nb::none();
  return object_of(*messages[at]);
}

nb::list ComputeBody::streams(nb::handle port) {
  const graph::Activation& activation = running("streams");
  nb::list all;
  for (const auto& message : activation.port(find(node_->inputs, port, "input"))) {
    if (!message) continue;
    if (message->stream) {
      all.append(stream_object(Stream(Ref(message->stream).leak())));
    } else {
      all.append(nb::none());
    }
  }
  return all;
}

void ComputeBody::send(nb::handle value, nb::handle port, nb::handle stream, bool give) {
  graph::Activation& activation = running("emit");
  const auto p = static_cast<std::uint32_t>(find(node_->outputs, port, "output"));
  if (value.is_none()) {
    throw_error<GraphError>("{}: emit(None) on \"{}\": to emit nothing, don't call emit",
                            node_->name, node_->outputs[p]);
  }
  if (node_->is_batch) {
    if (PySequence_Check(value.ptr()) == 0 ||
        PySequence_Size(value.ptr()) != static_cast<Py_ssize_t>(activation.items())) {
      throw_error<GraphError>("{}: with batch= what is emitted is a list of {}", node_->name,
                              activation.items());
    }
    for (std::size_t i = 0; i < activation.items(); ++i) {
      const nb::object item = value[i];
      if (!item.is_none()) activation.emit(p, staged(item, p, stream, give), i);
    }
    return;
  }
  activation.emit(p, staged(value, p, stream, give));
}

graph::MessageRef ComputeBody::staged(nb::handle value, std::uint32_t port, nb::handle stream,
                                      bool give) const {
  graph::MessageRef message = message_of(value, node_->wraps_arrays[port]);
  message->is_given = give;
  if (!stream.is_none()) {
    const auto on = stream_from(stream);
    order::check::Tag tag;
    if (order::check::is_on()) tag = place_tag("emit");
    const auto note = [&](const Tensor& tensor) {
      note_use(tensor.impl(), on->impl(), true, false, tag);
    };
    if (message->tensor() == nullptr) {
      message = message_of(value, true);
      message->is_given = give;
    }
    message->for_each_tensor(note);
    message->stream = Ref<order::Stream>::share(&on->impl());
  }
  return message;
}

void ComputeBody::end() { running("end").end(); }

void ComputeBody::set_number(std::uint64_t number) {
  running("_set_number").origin.number = number;
}

nb::object ComputeBody::stream() {
  if (!own_stream_.is_valid()) {
    nb::object own = stream_object(Stream(Ref<order::Stream>::share(&runner().stream()).leak()));
    if (node_->stream_pool) nb::handle(node_->stream_pool.get()).attr("_count")(own);
    own_stream_ = std::move(own);
  }
  return own_stream_;
}

nb::object ComputeBody::extra_stream(const std::string& name) {
  if (!node_->stream_pool) {
    return stream_object(Stream(Ref<order::Stream>::share(&runner().extra_stream(name)).leak()));
  }
  if (!pooled_.contains(name.c_str())) {
    pooled_[name.c_str()] = nb::handle(node_->stream_pool.get()).attr("acquire")();
  }
  return pooled_[name.c_str()];
}

void ComputeBody::release_streams() {
  if (!node_->stream_pool) return;
  in_python([&] {
    const nb::handle pool = node_->stream_pool.get();
    for (auto [name, taken] : pooled_) pool.attr("release")(taken);
    if (own_stream_.is_valid()) pool.attr("_uncount")(own_stream_);
    pooled_.clear();
  });
}

}  // namespace penstock::pybridge
