// Any callable as an operator: its parameters are the inputs, its result the outputs. Parameters
// are values, const references, Tensor& (it is written), std::optional (nothing may come), Message
// (anything), or Context& (no input); with batch or window std::vector of those. A result is a
// value, std::optional (may be nothing), std::tuple (several outputs), or with batch a vector.
#pragma once

#include <penstock/error.hpp>
#include <penstock/operator.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

/// What a callable's ports are called, where "in" or "in0", "in1", …, "out" won't do.
struct PortNames {
  std::vector<std::string> inputs = {};
  std::vector<std::string> outputs = {};
  /// Inputs whose work is complete before it is called.
  std::vector<std::string> host = {};
};

namespace detail {

template <class F>
struct Signature : Signature<decltype(&F::operator())> {};
template <class R, class... A>
struct Signature<R (*)(A...)> {
  using Result = R;
  using Parameters = std::tuple<A...>;
};
template <class R, class... A>
struct Signature<R (*)(A...) noexcept> : Signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...)> : Signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...) const> : Signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...) noexcept> : Signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...) const noexcept> : Signature<R (*)(A...)> {};

template <class F>
concept HasSignature = (std::is_class_v<F> && requires { &F::operator(); }) ||
                       std::is_function_v<std::remove_pointer_t<F>>;

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsTuple = false;
template <class... T>
inline constexpr bool kIsTuple<std::tuple<T...>> = true;

// The type that messages on a port have; void: any.
template <class T>
struct MessageType {
  using Type = T;
};
template <>
struct MessageType<Message> {
  using Type = void;
};
template <class T>
struct MessageType<std::optional<T>> : MessageType<T> {};

template <class T>
void say_type(PortWords port) {
  using Type = typename MessageType<T>::Type;
  if constexpr (!std::is_void_v<Type>) port.type<Type>();
}

// A message as a parameter's type, by value.
template <class T>
T value_of(const Message& message) {
  if constexpr (std::is_same_v<T, Message>) {
    return message;
  } else if constexpr (kIsOptional<T>) {
    return message ? T(message.get<typename T::value_type>()) : T();
  } else {
    return message.get<T>();
  }
}

template <class P>
inline constexpr bool kIsContext = std::is_same_v<std::remove_cvref_t<P>, Context>;

// A message that somebody else holds meanwhile.
class BorrowedMessage {
 public:
  explicit BorrowedMessage(MessageData* held = nullptr) : message_(held) {}
  BorrowedMessage(BorrowedMessage&& other) noexcept = default;
  BorrowedMessage& operator=(BorrowedMessage&&) = delete;
  ~BorrowedMessage() { static_cast<void>(message_.leak()); }
  void set(MessageData* held) {
    static_cast<void>(message_.leak());
    message_ = Message(held);
  }
  [[nodiscard]] const Message& get() const { return message_; }

 private:
  Message message_;
};

// What one parameter needs during a call.
template <class P>
class Argument {
 public:
  using Plain = std::remove_cvref_t<P>;
  static constexpr bool kIsWritten =
      std::is_lvalue_reference_v<P> && !std::is_const_v<std::remove_reference_t<P>>;
  static_assert(!kIsWritten || std::is_same_v<Plain, Tensor>,
                "an operator writes into a Tensor&; take other values by value");

  static void describe(PortWords port, bool is_list) {
    if constexpr (kIsVector<Plain>) {
      if (is_list) {
        say_type<typename Plain::value_type>(port);
        return;
      }
    }
    say_type<Plain>(port);
    port.optional(kIsOptional<Plain>).writes(kIsWritten);
  }

  void receive(Inputs& inputs, std::size_t port, bool is_list) {
    if constexpr (kIsVector<Plain>) {
      if (is_list) {
        const auto all = inputs.borrow_all_at(port);
        list_.emplace().reserve(all.size());
        for (MessageData* held : all) {
          const BorrowedMessage message(held);
          list_->push_back(value_of<typename Plain::value_type>(message.get()));
        }
        return;
      }
    }
    message_.set(inputs.borrow_at(port));
    if constexpr (kIsOwn) value_.emplace(value_of<Plain>(message_.get()));
  }

  P get() {
    if constexpr (kIsVector<Plain>) {
      if (list_) return static_cast<P>(*list_);
    }
    if constexpr (kIsOwn) {
      return static_cast<P>(*value_);
    } else if constexpr (std::is_same_v<Plain, Message>) {
      return static_cast<P>(message_.get());
    } else {
      return message_.get().template get<Plain>();
    }
  }

 private:
  static constexpr bool kIsOwn = kIsOptional<Plain> || kIsWritten || std::is_rvalue_reference_v<P>;
  struct Nothing {};

  BorrowedMessage message_;
  std::conditional_t<kIsOwn, std::optional<Plain>, Nothing> value_;
  std::conditional_t<kIsVector<Plain>, std::optional<Plain>, Nothing> list_;
};

template <class P>
  requires kIsContext<P>
class Argument<P> {
 public:
  explicit Argument(Context& context) : context_(&context) {}
  P get() { return *context_; }

 private:
  Context* context_;
};

template <class F>
class FunctionOperator final : public Operator {
  using Result = typename Signature<F>::Result;
  using Parameters = typename Signature<F>::Parameters;
  static constexpr std::size_t kParameters = std::tuple_size_v<Parameters>;
  template <std::size_t I>
  using Parameter = std::tuple_element_t<I, Parameters>;

 public:
  FunctionOperator(F function, PortNames names, bool is_list, bool is_batch)
      : function_(std::move(function)),
        names_(std::move(names)),
        is_list_(is_list),
        is_batch_(is_batch) {}

  void setup(Spec& spec) override {
    check_names(spec.owner());
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (describe_input<I>(spec), ...);
    }(std::make_index_sequence<kParameters>());
    describe_outputs(spec);
    for (const std::string& name : names_.host) host(spec, name);
  }

  void compute(Inputs& inputs, Outputs& outputs, Context& context) override {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      std::tuple<Argument<Parameter<I>>...> arguments{make_argument<I>(context)...};
      (receive<I>(std::get<I>(arguments), inputs), ...);
      if constexpr (std::is_void_v<Result>) {
        std::invoke(function_, std::get<I>(arguments).get()...);
      } else {
        give(std::invoke(function_, std::get<I>(arguments).get()...), outputs, context);
      }
    }(std::make_index_sequence<kParameters>());
  }

 private:
  // The number of the port of parameter I; of all parameters, how many ports there are.
  template <std::size_t I>
  static constexpr std::size_t port_of() {
    return []<std::size_t... J>(std::index_sequence<J...>) {
      return (std::size_t{0} + ... + (kIsContext<Parameter<J>> ? 0 : 1));
    }(std::make_index_sequence<I>());
  }
  static constexpr std::size_t kPorts = port_of<kParameters>();
  static constexpr std::size_t outputs_of() {
    if constexpr (std::is_void_v<Result>) return 0;
    if constexpr (kIsTuple<Result>) return std::tuple_size_v<Result>;
    return 1;
  }
  static constexpr std::size_t kOutputs = outputs_of();

  static std::string name_of(const std::vector<std::string>& names, const char* base,
                             std::size_t index, std::size_t count) {
    if (!names.empty()) return names[index];
    return count == 1 ? base : base + std::to_string(index);
  }
  void check_names(const std::string& owner) const {
    const auto check = [&](const char* kind, std::size_t given, std::size_t has) {
      if (given == 0 || given == has) return;
      throw GraphError(owner + ": " + std::to_string(given) + " names for its " +
                       std::to_string(has) + " " + kind);
    };
    check("inputs", names_.inputs.size(), kPorts);
    check("outputs", names_.outputs.size(), kOutputs);
  }
  void host(Spec& spec, const std::string& name) {
    for (std::size_t i = 0; i < kPorts; ++i) {
      if (spec.inputs()[i].name != name) continue;
      spec.change_input(i).host();
      return;
    }
    throw GraphError(spec.owner() + ": host: no input \"" + name + "\"");
  }

  template <std::size_t I>
  void describe_input(Spec& spec) {
    if constexpr (!kIsContext<Parameter<I>>) {
      if (is_list_ && !kIsVector<std::remove_cvref_t<Parameter<I>>>) {
        throw GraphError(spec.owner() +
                         ": with batch or window every parameter is a std::vector; one is " +
                         type_name(typeid(Parameter<I>)));
      }
      Argument<Parameter<I>>::describe(
          spec.input(name_of(names_.inputs, "in", port_of<I>(), kPorts)), is_list_);
    }
  }
  template <class T>
  void describe_output(Spec& spec, std::size_t index) {
    PortWords port = spec.output(name_of(names_.outputs, "out", index, kOutputs));
    if constexpr (kIsVector<T>) {
      if (is_batch_) {
        say_type<typename T::value_type>(port);
        return;
      }
    }
    if (is_batch_) {
      throw GraphError(spec.owner() + ": with batch every result is a std::vector; one is " +
                       type_name(typeid(T)));
    }
    say_type<T>(port);
  }
  void describe_outputs(Spec& spec) {
    if constexpr (kIsTuple<Result>) {
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (describe_output<std::tuple_element_t<I, Result>>(spec, I), ...);
      }(std::make_index_sequence<kOutputs>());
    } else if constexpr (kOutputs == 1) {
      describe_output<std::remove_cvref_t<Result>>(spec, 0);
    }
  }

  template <std::size_t I>
  static auto make_argument([[maybe_unused]] Context& context) {
    if constexpr (kIsContext<Parameter<I>>) {
      return Argument<Parameter<I>>(context);
    } else {
      return Argument<Parameter<I>>();
    }
  }
  template <std::size_t I>
  void receive(Argument<Parameter<I>>& argument, Inputs& inputs) {
    if constexpr (!kIsContext<Parameter<I>>) {
      argument.receive(inputs, port_of<I>(), is_list_);
    }
  }

  template <class T>
  void give(T&& result, Outputs& outputs, Context& context) {
    using Plain = std::remove_cvref_t<T>;
    if constexpr (kIsTuple<Plain>) {
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (give_port(std::get<I>(std::forward<T>(result)), I, outputs, context), ...);
      }(std::make_index_sequence<kOutputs>());
    } else {
      give_port(std::forward<T>(result), 0, outputs, context);
    }
  }
  template <class T>
  void give_port(T&& result, std::size_t port, Outputs& outputs, Context& context) {
    using Plain = std::remove_cvref_t<T>;
    if constexpr (kIsVector<Plain>) {
      if (is_batch_) {
        if (result.size() != context.items()) {
          throw GraphError(context.name() + ": " + std::to_string(result.size()) +
                           " results for a batch of " + std::to_string(context.items()) +
                           "; return one for each item");
        }
        // By value: a vector<bool> has no elements to refer to.
        for (typename Plain::value_type each : result) {
          give_one(std::move(each), port, outputs, context);
        }
        return;
      }
    }
    give_one(Plain(std::forward<T>(result)), port, outputs, context);
  }
  template <class T>
  void give_one(T value, std::size_t port, Outputs& outputs, Context& context) {
    if constexpr (kIsOptional<T>) {
      if (value) {
        give_one(std::move(*value), port, outputs, context);
      } else {
        give_nothing(port, outputs, context);
      }
    } else if constexpr (std::is_same_v<T, Message>) {
      if (value) {
        outputs.emit_at(port, std::move(value));
      } else {
        give_nothing(port, outputs, context);
      }
    } else {
      outputs.emit_at(port, std::move(value));
    }
  }
  // A source that gives nothing has no more.
  void give_nothing(std::size_t port, Outputs& outputs, Context& context) {
    if constexpr (kPorts == 0) {
      context.end();
    } else {
      outputs.skip_at(port);
    }
  }

  F function_;
  PortNames names_;
  bool is_list_;
  bool is_batch_;
};

template <class F>
OperatorMaker function_maker(F function, PortNames names, const OperatorOptions& options) {
  static_assert(HasSignature<F>, "give the callable's parameters types");
  static_assert(std::is_copy_constructible_v<F>,
                "each instance has its own copy of the callable: it must be copyable");
  return {.make = [function = std::move(function), names = std::move(names),
                   is_list = options.batch > 1 || options.window > 1,
                   is_batch = options.batch > 1]() -> std::unique_ptr<Operator> {
            return std::make_unique<FunctionOperator<F>>(function, names, is_list, is_batch);
          },
          .kind = "function"};
}

}  // namespace detail

}  // namespace penstock
