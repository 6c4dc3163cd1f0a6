#include <penstock/operator.hpp>

#include "base/nearest.hpp"
#include "base/throw.hpp"
#include "graph/activation.hpp"
#include "graph/graph.hpp"

#include <algorithm>

namespace penstock {
namespace {

std::size_t find_named(const std::string& owner, const char* kind,
                       const std::vector<PortSpec>& ports, std::string_view name) {
  for (std::size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == name) return i;
  }
  if (name.empty() && ports.size() == 1) return 0;
  std::string list;
  std::vector<std::string_view> names;
  for (const PortSpec& port : ports) {
    names.emplace_back(port.name);
    list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", port.name);
  }
  if (list.empty()) throw_error<GraphError>("{}: it has no {}", owner, kind);
  if (name.empty()) {
    throw_error<GraphError>("{}: it has {} {}s ({}); name one", owner, ports.size(), kind, list);
  }
  throw_error<GraphError>("{}: no {} \"{}\"; it has {}; did you mean \"{}\"?", owner, kind, name,
                          list, nearest(name, names));
}

// Its work is on the stream that was named, or on the operator's own.
void set_stream(graph::MessageRef& message, const Stream* named, const Stream* own) {
  const bool is_alone = message->ref_count() == 1;
  if (named != nullptr) {
    message->for_each_tensor(
        [&](const Tensor& tensor) { uses(tensor, *named, !tensor.readonly()); });
  } else if (!is_alone) {
    return;
  }
  if (!is_alone) message = MessageData::share(*message);
  const Stream& behind = named != nullptr ? *named : *own;
  message->stream = Ref<order::Stream>::share(&behind.impl());
}

}  // namespace

PortWords& PortWords::type(std::string name) {
  spec_->type = std::move(name);
  return *this;
}
PortWords& PortWords::optional(bool is_optional) {
  spec_->is_optional = is_optional;
  return *this;
}
PortWords& PortWords::host(bool is_host) {
  spec_->is_host = is_host;
  return *this;
}
PortWords& PortWords::writes(bool is_written) {
  spec_->is_written = is_written;
  return *this;
}
PortWords& PortWords::size(int messages) {
  if (messages < 1 && messages != kAnySize) {
    throw_error<GraphError>("\"{}\": size={} does not fit: at least 1, or kAnySize", spec_->name,
                            messages);
  }
  spec_->size = messages;
  return *this;
}
PortWords& PortWords::capacity(int messages) {
  if (messages < 1) {
    throw_error<GraphError>("\"{}\": capacity={} does not fit: at least 1", spec_->name, messages);
  }
  spec_->capacity = messages;
  return *this;
}
PortWords& PortWords::policy(Policy policy) {
  spec_->policy = policy;
  spec_->is_policy_set = true;
  return *this;
}

Spec::Spec(std::string name, std::span<const Setting> given)
    : SettingReader(std::move(name), given) {}

PortWords Spec::input(std::string_view name) { return add(inputs_, "input", name); }
PortWords Spec::output(std::string_view name) { return add(outputs_, "output", name); }

PortWords Spec::add(std::deque<PortSpec>& ports, const char* kind, std::string_view name) {
  if (name.empty()) throw_error<GraphError>("{}: an {} has no name", owner(), kind);
  if (std::ranges::find(ports, name, &PortSpec::name) != ports.end()) {
    throw_error<GraphError>("{}: there are two {}s \"{}\"", owner(), kind, name);
  }
  ports.emplace_back().name = name;
  return PortWords(ports.back());
}

std::size_t Inputs::find(std::string_view port) const {
  return find_named(*name_, "input", *ports_, port);
}

Message Inputs::receive(std::string_view port) { return receive_at(find(port)); }

Message Inputs::receive_at(std::size_t port) {
  return Message(graph::MessageRef::share(borrow_at(port)).leak());
}

MessageData* Inputs::borrow_at(std::size_t port) {
  if (activation_ == nullptr || port >= activation_->ports()) return nullptr;
  const auto messages = activation_->port(port);
  return next_[port] == messages.size() ? nullptr : messages[next_[port]++].get();
}

// A reference is its pointer.
std::span<MessageData* const> Inputs::borrow_all_at(std::size_t port) const {
  static_assert(sizeof(graph::MessageRef) == sizeof(MessageData*));
  const auto messages = activation_->port(port);
  return {reinterpret_cast<MessageData* const*>(messages.data()), messages.size()};
}

std::size_t Inputs::size(std::string_view port) const { return size_at(find(port)); }
std::size_t Inputs::size_at(std::size_t port) const { return activation_->port(port).size(); }

std::vector<std::optional<Stream>> Inputs::streams(std::string_view port) const {
  std::vector<std::optional<Stream>> streams;
  for (const graph::MessageRef& message : activation_->port(find(port))) {
    streams.emplace_back();
    if (message && message->stream) {
      streams.back().emplace(Ref<order::Stream>(message->stream).leak());
    }
  }
  return streams;
}

std::size_t Outputs::find(std::string_view port) const {
  return find_named(*name_, "output", *ports_, port);
}

void Outputs::skip(std::string_view port) { skip_at(find(port)); }
void Outputs::skip_at(std::size_t port) {
  if (is_batch_) ++next_[port];
}

void Outputs::emit_message(std::size_t port, MessageData* message, const Stream* stream) {
  auto ref = graph::MessageRef::adopt(message);
  if (!ref || ref->is_gap()) {
    throw_error<GraphError>("{}: emit: the message is empty; to emit nothing, don't call emit",
                            *name_);
  }
  const std::size_t item = is_batch_ ? next_[port]++ : 0;
  if (item >= activation_->items()) {
    throw_error<GraphError>("{}: {} results on \"{}\" for a batch of {}; emit one for each item",
                            *name_, item + 1, (*ports_)[port].name, activation_->items());
  }
  if (stream != nullptr || stream_ != nullptr) set_stream(ref, stream, stream_);
  activation_->emit(static_cast<std::uint32_t>(port), std::move(ref), item);
}

Stream Context::stream() {
  if (!stream_) stream_.emplace(Ref<order::Stream>::share(&instance_->stream()).leak());
  return *stream_;
}
Stream Context::extra_stream(const std::string& name) {
  return Stream(Ref<order::Stream>::share(&instance_->extra_stream(name)).leak());
}
Device Context::device() const { return instance_->device(); }
const std::string& Context::name() const { return instance_->name(); }
int Context::instance() const { return instance_->index(); }

graph::Activation& Context::running(const char* call) const {
  if (activation_ == nullptr) {
    throw_error<GraphError>("{}: context.{}() is for compute()", name(), call);
  }
  return *activation_;
}

std::size_t Context::items() const { return running("items").items(); }
Message Context::message(std::size_t item) const {
  const MessageData* lead = running("message").lead(item);
  return Message(Ref<MessageData>::share(const_cast<MessageData*>(lead)).leak());
}
Origin Context::origin(std::size_t item) const {
  const graph::Activation& activation = running("origin");
  const MessageData* lead = activation.lead(item);
  return lead == nullptr ? activation.origin : lead->origin;
}

void Context::end() { running("end").end(); }
void Context::stop() { instance_->stop_run(); }
bool Context::is_stopping() const { return instance_->is_stopping(); }
void Context::notify() { instance_->notify(); }

Operator::~Operator() = default;
void Operator::setup(Spec& spec) { static_cast<void>(spec); }
void Operator::start() {}
void Operator::stop() {}
bool Operator::ready() { return true; }
Context& Operator::context() const {
  if (context_ == nullptr)
    throw_error<GraphError>("operator: its context lives from start() to stop()");
  return *context_;
}

}  // namespace penstock
