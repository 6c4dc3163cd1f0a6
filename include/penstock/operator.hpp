// The explicit form of an operator: a class that names its ports and settings and is given what
// came in. One object serves one instance and is never entered twice at once; what it is given is
// valid during the call, the context from start() to stop().
#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>
#include <penstock/message.hpp>
#include <penstock/options.hpp>
#include <penstock/settings.hpp>
#include <penstock/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

namespace graph {
class Activation;
class Instance;
class OperatorBody;
}  // namespace graph

/// One port, being described.
class PENSTOCK_API PortWords {
 public:
  explicit PortWords(PortSpec& spec) : spec_(&spec) {}

  /// The C++ type of its messages: edges between different types are refused.
  template <class T>
  PortWords& type() {
    return type(std::string(detail::type_name(typeid(T))));
  }
  PortWords& type(std::string name);
  /// The operator also runs when nothing comes here.
  PortWords& optional(bool is_optional = true);
  /// The operator does not run until the work behind the messages is complete.
  PortWords& host(bool is_host = true);
  /// The operator writes into what comes here.
  PortWords& writes(bool is_written = true);
  /// Messages for each activation; kAnySize: one from each sender that has not ended.
  PortWords& size(int messages);
  /// Messages that wait in each edge into it.
  PortWords& capacity(int messages);
  /// What a full edge into it does.
  PortWords& policy(Policy policy);

 private:
  PortSpec* spec_;
};

/// What an operator says of itself in setup(): its ports and its settings.
class PENSTOCK_API Spec : public SettingReader {
 public:
  /// `name` is the operator's, for messages.
  explicit Spec(std::string name = {}, std::span<const Setting> given = {});

  /// GraphError if there is one of that name.
  PortWords input(std::string_view name);
  PortWords output(std::string_view name);

  /// An input that was named before.
  PortWords change_input(std::size_t index) { return PortWords(inputs_[index]); }
  [[nodiscard]] const std::deque<PortSpec>& inputs() const { return inputs_; }
  [[nodiscard]] const std::deque<PortSpec>& outputs() const { return outputs_; }

 private:
  PortWords add(std::deque<PortSpec>& ports, const char* kind, std::string_view name);

  std::deque<PortSpec> inputs_;
  std::deque<PortSpec> outputs_;
};

/// What came in. A port's name may be left out if there is one; GraphError for an unknown one.
class PENSTOCK_API Inputs {
 public:
  /// The next message of this activation; none when there is none (more).
  [[nodiscard]] Message receive(std::string_view port = {});
  /// Its value. ArgumentTypeError if it is of another type.
  template <class T>
  [[nodiscard]] std::optional<T> receive(std::string_view port = {}) {
    const Message message = receive(port);
    if (!message) return std::nullopt;
    return message.get<T>();
  }
  /// The same by the number of the port, in the order of setup().
  [[nodiscard]] Message receive_at(std::size_t port);
  /// The same without a reference, for the time of the call; nullptr when there is none.
  [[nodiscard]] MessageData* borrow_at(std::size_t port);
  /// All that came on the port in this activation.
  [[nodiscard]] std::span<MessageData* const> borrow_all_at(std::size_t port) const;
  /// How many receive() gives in this activation; an empty one on an optional input counts.
  [[nodiscard]] std::size_t size(std::string_view port = {}) const;
  [[nodiscard]] std::size_t size_at(std::size_t port) const;
  /// For each of them the stream that it was emitted on, if one was named or asked for.
  [[nodiscard]] std::vector<std::optional<Stream>> streams(std::string_view port = {}) const;

 private:
  friend class graph::OperatorBody;
  [[nodiscard]] std::size_t find(std::string_view port) const;

  graph::Activation* activation_ = nullptr;
  const std::vector<PortSpec>* ports_ = nullptr;
  const std::string* name_ = nullptr;
  std::vector<std::size_t> next_;
};

/// Where results go. In a batch, the n-th emitted on a port belongs to the n-th item.
class PENSTOCK_API Outputs {
 public:
  /// A value, or a Message. GraphError for an unknown port and for an empty message.
  template <class T>
  void emit(T value, std::string_view port = {}) {
    emit_at(find(port), std::move(value));
  }
  /// The same, with its work on that stream: consumers wait for what is queued there.
  template <class T>
  void emit(T value, std::string_view port, const Stream& stream) {
    const std::size_t index = find(port);
    emit_message(index, make_message(std::move(value)).leak(), &stream);
  }
  /// The same by the number of the port, in the order of setup().
  template <class T>
  void emit_at(std::size_t port, T value) {
    emit_message(port, make_message(std::move(value)).leak(), nullptr);
  }
  /// In a batch: nothing for the port's next item.
  void skip(std::string_view port = {});
  void skip_at(std::size_t port);

 private:
  friend class graph::OperatorBody;
  template <class T>
  static Message make_message(T value) {
    if constexpr (std::is_same_v<T, Message>) {
      return value;
    } else if constexpr (std::is_convertible_v<T, const char*>) {
      return Message::of(std::string(value));
    } else {
      return Message::of(std::move(value));
    }
  }
  [[nodiscard]] std::size_t find(std::string_view port) const;
  /// Takes the reference over.
  void emit_message(std::size_t port, MessageData* message, const Stream* stream);

  graph::Activation* activation_ = nullptr;
  const std::vector<PortSpec>* ports_ = nullptr;
  const std::string* name_ = nullptr;
  const Stream* stream_ = nullptr;  // the operator's own, once asked for
  bool is_batch_ = false;
  std::vector<std::size_t> next_;
};

/// What an instance knows of itself and of the run. notify(), stop() and is_stopping() from any
/// thread, the rest from the operator's own calls.
class PENSTOCK_API Context {
 public:
  /// The instance's own stream; current for its device while the operator runs.
  [[nodiscard]] Stream stream();
  /// The same name gives the same stream.
  [[nodiscard]] Stream extra_stream(const std::string& name);
  [[nodiscard]] Device device() const;
  [[nodiscard]] const std::string& name() const;
  /// 0 to `instances` - 1.
  [[nodiscard]] int instance() const;

  /// Messages of a batch; 1 otherwise.
  [[nodiscard]] std::size_t items() const;
  /// The message whose origin the results have, of an item of a batch; none in a source.
  [[nodiscard]] Message message(std::size_t item = 0) const;
  [[nodiscard]] Origin origin(std::size_t item = 0) const;

  /// A source has no more to give; what it emitted still goes out.
  void end();
  /// Ends the run: sources end, the rest drains.
  void stop();
  /// The run was asked to stop, or has failed.
  [[nodiscard]] bool is_stopping() const;
  /// ready() is asked again.
  void notify();

 private:
  friend class graph::OperatorBody;
  [[nodiscard]] graph::Activation& running(const char* call) const;

  graph::Instance* instance_ = nullptr;
  graph::Activation* activation_ = nullptr;
  std::optional<Stream> stream_;
};

class PENSTOCK_API Operator {
 public:
  Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;
  virtual ~Operator();

  /// Names ports and settings. Called once for each object, before the run.
  virtual void setup(Spec& spec);
  virtual void start();
  virtual void compute(Inputs& inputs, Outputs& outputs, Context& context) = 0;
  /// After the last compute(), also when the run failed.
  virtual void stop();
  /// False: not run now; asked again after each event and every 10 ms. Cheap, from any thread.
  [[nodiscard]] virtual bool ready();

  /// From start() to stop(); GraphError otherwise.
  [[nodiscard]] Context& context() const;

 private:
  friend class graph::OperatorBody;
  Context* context_ = nullptr;
};

namespace detail {

/// How objects of an operator's class are made: from the same arguments each time.
struct OperatorMaker {
  std::function<std::unique_ptr<Operator>()> make;
  /// For people: "Gain".
  std::string kind;
  bool has_ready = false;
};

template <class T>
constexpr bool overrides_ready() {
  if constexpr (requires { &T::ready; }) {
    return !std::is_same_v<decltype(&T::ready), bool (Operator::*)()>;
  } else {
    return true;
  }
}

}  // namespace detail

}  // namespace penstock
