// The ends of a graph that a program holds: a source that it pushes to, and a sink that it takes
// from. Thread-safe. One run at a time uses one; messages may be put before it begins.
#pragma once

#include "base/ring_queue.hpp"
#include "graph/graph.hpp"
#include "runtime/run.hpp"

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace penstock::operators {

using graph::MessageRef;

/// A bounded queue between threads of a program and a node; the node is told by its instance.
class Hatch {
 public:
  explicit Hatch(int capacity) : capacity_(static_cast<std::size_t>(capacity)) {}
  Hatch(const Hatch&) = delete;
  Hatch& operator=(const Hatch&) = delete;

  /// Begins or ends the use by a node. GraphError if another run uses it.
  void attach(graph::Instance& instance, const char* kind);
  void detach();
  /// A run that was to use it has ended, maybe before it began to.
  void end_unused();

 protected:
  ~Hatch() = default;
  void notify() const {
    if (instance_ != nullptr) instance_->notify();
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  RingQueue<MessageRef> messages_;
  graph::Instance* instance_ = nullptr;  // while a node uses it
  bool has_ended_ = false;               // the last run that used it has
};

enum class Put : std::uint8_t { done, full, closed, ended };

class Feed final : public Hatch {
 public:
  using Hatch::Hatch;
  /// Waits for room until `deadline_ns`; kNever: without limit.
  [[nodiscard]] Put put(MessageRef message, std::int64_t deadline_ns);
  void close();

  // For the node.
  [[nodiscard]] bool ready() const;
  [[nodiscard]] bool is_closed() const;
  /// Empty if there is none; `is_last`: no more will come.
  [[nodiscard]] MessageRef take(bool& is_last);

 private:
  bool is_closed_ = false;
};

class Drain final : public Hatch {
 public:
  using Hatch::Hatch;
  /// Waits for a message until `deadline_ns`; empty at the end, or if none came until then.
  [[nodiscard]] MessageRef next(std::int64_t deadline_ns);
  /// Nobody takes any more: what comes is thrown away.
  void abandon();

  // For the node.
  [[nodiscard]] bool ready() const;
  void give(MessageRef message);

 private:
  bool is_abandoned_ = false;
};

/// At the end of the run, nobody waits at a feed or a drain of its that never began. Call it once
/// the run is started.
void tell_end(const graph::Graph& graph, runtime::Run& run);

/// "out": what is put into the feed, in order.
[[nodiscard]] graph::NodeSpec feed(std::shared_ptr<Feed> feed, OperatorOptions options = {});
/// "in": what comes, for drain->next().
[[nodiscard]] graph::NodeSpec drain(std::shared_ptr<Drain> drain, OperatorOptions options = {});

}  // namespace penstock::operators
