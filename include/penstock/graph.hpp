// Graphs: both forms of writing them, running them, and the two ends that a program holds itself:
// feed() pushes messages in, iterate() takes them out.
#pragma once

#include <penstock/application.hpp>
#include <penstock/export.hpp>
#include <penstock/flow.hpp>
#include <penstock/run.hpp>

#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

namespace operators {
class Feed;
class Drain;
}  // namespace operators

/// Starts all that the flows reach: their operators, and those that these get their messages from.
/// GraphError if it can't run.
[[nodiscard]] PENSTOCK_API Run start(const std::vector<Flow>& flows,
                                     const RunOptions& options = {});
/// The same, until it is over; returns its statistics. Rethrows the first error.
PENSTOCK_API RunStats run(const std::vector<Flow>& flows, const RunOptions& options = {});
[[nodiscard]] inline Run start(const Flow& flow, const RunOptions& options = {}) {
  return start(std::vector<Flow>{flow}, options);
}
inline RunStats run(const Flow& flow, const RunOptions& options = {}) {
  return run(std::vector<Flow>{flow}, options);
}
template <std::derived_from<Flow>... Flows>
RunStats run(const Flow& first, const Flow& second, const Flows&... rest) {
  return run(std::vector<Flow>{first, second, rest...}, RunOptions{});
}

namespace detail {
/// A source that a program pushes to.
class PENSTOCK_API AnyFeed : public Flow {
 public:
  /// No more will be put: the source ends when it is empty.
  void close();

 protected:
  AnyFeed(int capacity, OperatorOptions options);
  void put_message(Message message, double timeout_ms);

 private:
  explicit AnyFeed(std::shared_ptr<operators::Feed> feed, OperatorOptions options);
  std::shared_ptr<operators::Feed> feed_;
};
}  // namespace detail

/// A source that a program pushes to, from any thread; for one run at a time.
template <class T>
class Feed : public detail::AnyFeed {
 public:
  Feed(int capacity, OperatorOptions options) : AnyFeed(capacity, std::move(options)) {}
  /// Waits while it is full, at most that long (negative: without limit). Error if it was full
  /// until then, if it is closed, and if its run has ended.
  void put(T value, double timeout_ms = -1) {
    if constexpr (std::is_same_v<T, Message>) {
      put_message(std::move(value), timeout_ms);
    } else {
      put_message(Message::of(std::move(value)), timeout_ms);
    }
  }
};

/// `capacity` messages wait in it until the graph takes them.
template <class T>
[[nodiscard]] Feed<T> feed(int capacity = 4, OperatorOptions options = {}) {
  return {capacity, std::move(options)};
}

/// A graph that runs while its messages are taken: `while (auto m = it.next())`. Dropping it stops
/// the run. For one thread.
class PENSTOCK_API Iterator {
 public:
  Iterator(std::shared_ptr<operators::Drain> drain, Run run);
  Iterator(Iterator&&) noexcept = default;
  Iterator& operator=(Iterator&&) = delete;
  ~Iterator();

  /// Waits for the next message; none at the end. Rethrows the run's first error.
  [[nodiscard]] Message next();
  /// Its value. ArgumentTypeError if it is of another type.
  template <class T>
  [[nodiscard]] std::optional<T> next() {
    const Message message = next();
    if (!message) return std::nullopt;
    return message.get<T>();
  }
  [[nodiscard]] RunStats stats() const { return run_.stats(); }

 private:
  std::shared_ptr<operators::Drain> drain_;
  Run run_;
};

/// Runs what the flow reaches; up to `ahead` messages are made before they are asked for.
[[nodiscard]] PENSTOCK_API Iterator iterate(const Flow& flow, int ahead = 4,
                                            const RunOptions& options = {});

}  // namespace penstock
