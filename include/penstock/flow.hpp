// The functional form of a graph: flows of messages, and operators that are called with flows. A
// Flow and an Op are references; what a run needs of a graph it holds itself. Building is for one
// thread; the same flows may run again, and several times at once.
#pragma once

#include <penstock/application.hpp>
#include <penstock/export.hpp>
#include <penstock/function.hpp>
#include <penstock/operator.hpp>
#include <penstock/run.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

namespace graph {
struct NodeSpec;
}
namespace detail {
struct FlowNode;
struct FlowAccess;
}  // namespace detail

/// What an operator gives: its one output, or all of them until one is named.
class PENSTOCK_API Flow {
 public:
  /// One output by name. GraphError for an unknown one, with the nearest.
  [[nodiscard]] Flow operator[](std::string_view output) const;
  /// By number.
  [[nodiscard]] Flow operator[](std::size_t output) const;

 protected:
  friend struct detail::FlowAccess;
  Flow(std::shared_ptr<detail::FlowNode> node, int port);

  std::shared_ptr<detail::FlowNode> node_;
  int port_;  // -1: none is named
};

/// An operator with its options, not yet connected. Each call makes another node.
class PENSTOCK_API Op {
 public:
  explicit Op(std::shared_ptr<const graph::NodeSpec> node) : node_(std::move(node)) {}
  /// Flows for its inputs, in order; optional ones may be left out at the end. GraphError for too
  /// many.
  [[nodiscard]] Flow connect(const std::vector<Flow>& inputs) const;
  template <std::derived_from<Flow>... Flows>
  [[nodiscard]] Flow operator()(const Flows&... inputs) const {
    return connect({inputs...});
  }

 private:
  friend struct detail::FlowAccess;
  std::shared_ptr<const graph::NodeSpec> node_;
};

namespace detail {
[[nodiscard]] PENSTOCK_API Op make_op(OperatorMaker maker, OperatorOptions options,
                                      std::vector<Setting> settings = {});
[[nodiscard]] PENSTOCK_API Flow make_route(const Flow& flow,
                                           std::function<int(const Message&)> output_of,
                                           const std::vector<Op>& cases,
                                           const std::optional<Op>& otherwise,
                                           OperatorOptions options);
[[nodiscard]] PENSTOCK_API Flow make_loop(std::vector<Message> first);
}  // namespace detail

/// A callable as an operator: with flows it is connected, with values it is called.
template <class F>
class FunctionOp : public Op {
 public:
  FunctionOp(const Op& made, F function) : Op(made), function_(std::move(function)) {}
  using Op::operator();
  template <class... Args>
    requires(sizeof...(Args) > 0 && !(std::derived_from<std::remove_cvref_t<Args>, Flow> || ...))
  decltype(auto) operator()(Args&&... args) const {
    auto own = function_;
    return std::invoke(own, std::forward<Args>(args)...);
  }

 private:
  F function_;
};

/// Any callable whose parameters have types; see function.hpp for what they and the result mean.
template <class F>
  requires(!std::derived_from<F, Operator>)
[[nodiscard]] FunctionOp<F> op(F function, OperatorOptions options = {}, PortNames names = {}) {
  auto maker = detail::function_maker(function, std::move(names), options);
  return {detail::make_op(std::move(maker), std::move(options)), std::move(function)};
}

/// An operator's class: Setting arguments set what its setup() names, the others are its
/// constructor's.
template <std::derived_from<Operator> T, class... Args>
[[nodiscard]] Op op(OperatorOptions options = {}, Args&&... args) {
  auto settings = detail::settings_among(args...);
  return detail::make_op(detail::maker_of<T>(std::forward<Args>(args)...), std::move(options),
                         std::move(settings));
}

/// A callable with no inputs, called again and again; a std::optional or Message without a value
/// ends it.
template <class F>
[[nodiscard]] Flow source(F function, OperatorOptions options = {}) {
  return op(std::move(function), std::move(options)).connect({});
}

/// Connects a flow with an operator's only input.
template <std::derived_from<Op> O>
[[nodiscard]] Flow operator>>(const Flow& flow, const O& consumer) {
  return consumer.connect({flow});
}
template <class F>
  requires detail::HasSignature<F> && (!std::derived_from<F, Op>) && (!std::derived_from<F, Flow>)
[[nodiscard]] Flow operator>>(const Flow& flow, F function) {
  return op(std::move(function)).connect({flow});
}
/// Closes a cycle: what comes goes on from the loop. GraphError if the second is no loop().
PENSTOCK_API Flow operator>>(const Flow& flow, const Flow& loop);
/// Each of them gets all.
template <class... Ops>
[[nodiscard]] auto operator>>(const Flow& flow, const std::tuple<Ops...>& consumers) {
  return std::apply([&](const auto&... each) { return std::tuple{(flow >> each)...}; }, consumers);
}

/// Mixes flows, fairly and in order of arrival.
[[nodiscard]] PENSTOCK_API Flow merge(const std::vector<Flow>& flows, OperatorOptions options = {});
template <std::derived_from<Flow>... Flows>
  requires(sizeof...(Flows) > 1)
[[nodiscard]] Flow merge(const Flows&... flows) {
  return merge(std::vector<Flow>{flows...});
}

template <class K>
struct RouteCase {
  K value;
  Op consumer;
};

namespace detail {
template <class F>
using KeyOf =
    std::conditional_t<std::is_convertible_v<typename Signature<F>::Result, std::string_view>,
                       std::string, std::remove_cvref_t<typename Signature<F>::Result>>;
}

/// Each message to the operator whose value its key is; the results mixed. What no value matches
/// goes to `otherwise`, or is counted (`unmatched`) and dropped.
template <class F>
[[nodiscard]] Flow route(const Flow& flow, F key,
                         std::type_identity_t<std::vector<RouteCase<detail::KeyOf<F>>>> cases,
                         std::optional<Op> otherwise = std::nullopt, OperatorOptions options = {}) {
  using Parameter =
      std::remove_cvref_t<std::tuple_element_t<0, typename detail::Signature<F>::Parameters>>;
  std::vector<Op> consumers;
  std::vector<detail::KeyOf<F>> values;
  for (auto& each : cases) {
    values.push_back(std::move(each.value));
    consumers.push_back(std::move(each.consumer));
  }
  auto output_of = [key = std::move(key), values = std::move(values)](const Message& message) {
    auto own = key;
    const auto& found = own(detail::value_of<Parameter>(message));
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] == found) return static_cast<int>(i);
    }
    return -1;
  };
  return detail::make_route(flow, std::move(output_of), consumers, otherwise, std::move(options));
}

/// A flow that begins with these messages and goes on with what is connected to it: `y >> l`. It
/// ends when nothing is left in its cycle.
template <class... T>
[[nodiscard]] Flow loop(T... first) {
  std::vector<Message> messages;
  (messages.push_back(Message::of(std::move(first))), ...);
  return detail::make_loop(std::move(messages));
}

struct ProbeOptions {
  std::string name = {};
  /// Elements that are printed.
  int values = 4;
  /// Takes a line, without its end; stdout if empty.
  std::function<void(const std::string&)> print = nullptr;
};
/// Prints shape, dtype, device, stream and first values of what passes.
[[nodiscard]] PENSTOCK_API Flow probe(const Flow& flow, const ProbeOptions& options = {});

struct SyntheticOptions {
  std::string name = {};
  std::int64_t height = 480;
  std::int64_t width = 640;
  /// Frames; kUnlimited: no end.
  std::int64_t count = kUnlimited;
  /// Frames a second; 0: as fast as they are taken. Their times are those of 30.
  double fps = 0;
};
/// u8 HWC frames of 3 channels with a pattern that moves, on the run's device.
[[nodiscard]] PENSTOCK_API Flow synthetic(const SyntheticOptions& options = {});

}  // namespace penstock
