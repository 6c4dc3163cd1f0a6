// The explicit form of a graph: a class whose compose() makes operators and says what flows where.
// It can run again; compose() is called for each run. run(), run_async(), stop() and stats() from
// any thread.
#pragma once

#include <penstock/export.hpp>
#include <penstock/operator.hpp>
#include <penstock/run.hpp>

#include <future>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

namespace detail {

// What of an operator's arguments are settings, and what its constructor takes.
template <class T>
inline constexpr bool kIsSetting = std::is_same_v<std::remove_cvref_t<T>, Setting>;

template <class T>
auto constructor_argument(T&& argument) {
  if constexpr (kIsSetting<T>) {
    return std::tuple<>{};
  } else {
    return std::tuple<std::decay_t<T>>(std::forward<T>(argument));
  }
}

template <class... Args>
std::vector<Setting> settings_among(const Args&... args) {
  std::vector<Setting> settings;
  [[maybe_unused]] const auto add = [&](const auto& argument) {
    if constexpr (kIsSetting<decltype(argument)>) settings.push_back(argument);
  };
  (add(args), ...);
  return settings;
}

template <class T, class... Args>
OperatorMaker maker_of(Args&&... args) {
  static_assert(std::is_base_of_v<Operator, T>, "an operator derives from penstock::Operator");
  std::string kind = type_name(typeid(T));
  if (const auto colon = kind.rfind("::"); colon != std::string::npos) kind.erase(0, colon + 2);
  return {.make =
              [arguments = std::tuple_cat(constructor_argument(std::forward<Args>(args))...)] {
                return std::apply(
                    [](const auto&... each) -> std::unique_ptr<Operator> {
                      return std::make_unique<T>(each...);
                    },
                    arguments);
              },
          .kind = std::move(kind),
          .has_ready = overrides_ready<T>()};
}

}  // namespace detail

class PENSTOCK_API Application {
 public:
  /// One operator of the graph that is being composed.
  class Node {
   private:
    friend class Application;
    explicit Node(int index) : index_(index) {}
    int index_;
  };

  Application();
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;
  /// Stops a run and waits for it.
  virtual ~Application();

  virtual void compose() = 0;

  /// Until it is over; returns its statistics. Rethrows the first error. GraphError for a graph
  /// that can't run, and while it runs already.
  RunStats run(const RunOptions& options = {});
  /// The same, in the background.
  [[nodiscard]] std::future<RunStats> run_async(const RunOptions& options = {});
  /// Sources end, the rest drains. Nothing if it does not run.
  void stop();
  /// Of the run, or of the last one.
  [[nodiscard]] RunStats stats() const;
  /// The compiled graph, for people.
  [[nodiscard]] std::string plan();

 protected:
  // For compose().
  /// An operator. Arguments that are a Setting set what its setup() names; its constructor takes
  /// the others, once for each instance. GraphError for a duplicate name or an unknown setting.
  template <class T, class... Args>
  Node make_operator(OperatorOptions options, Args&&... args) {
    auto settings = detail::settings_among(args...);
    return add(detail::maker_of<T>(std::forward<Args>(args)...), std::move(options),
               std::move(settings));
  }
  template <class T, class... Args>
  Node make_operator(std::string_view name, Args&&... args) {
    OperatorOptions options;
    options.name = name;
    return make_operator<T>(std::move(options), std::forward<Args>(args)...);
  }
  template <class T>
  Node make_operator() {
    return make_operator<T>(OperatorOptions{});
  }
  /// Messages go from outputs of one to inputs of the other, by names: {{"out", "in"}}; none where
  /// there is only one of each. GraphError for an unknown port.
  void add_flow(Node from, Node to,
                std::initializer_list<std::pair<std::string_view, std::string_view>> ports = {});

 private:
  struct State;
  Node add(detail::OperatorMaker maker, OperatorOptions options, std::vector<Setting> settings);

  std::shared_ptr<State> state_;
};

}  // namespace penstock
