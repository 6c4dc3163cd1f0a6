// What a node runs: one object for each instance, made, started, run and stopped on the instance's
// home, never entered twice at once.
#pragma once

#include <penstock/options.hpp>

#include "graph/activation.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace penstock::graph {

/// What an instance is told of itself. Lives from before start() until after stop().
class Instance {
 public:
  Instance() = default;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  virtual ~Instance() = default;

  /// The instance's own stream, made at first use.
  [[nodiscard]] virtual order::Stream& stream() = 0;
  /// The same name gives the same stream.
  [[nodiscard]] virtual order::Stream& extra_stream(const std::string& name) = 0;
  [[nodiscard]] virtual Device device() const = 0;
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual int index() const = 0;
  /// Looks again whether the body is ready. From any thread, as long as the run lasts.
  virtual void notify() = 0;
  /// True once the run was asked to stop, or has failed.
  [[nodiscard]] virtual bool is_stopping() const = 0;
  /// Sources end, the rest drains.
  virtual void stop_run() = 0;
  /// Ends the run, as an operator's exception would.
  virtual void fail(std::exception_ptr error) = 0;
};

class Body {
 public:
  Body() = default;
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
  virtual ~Body() = default;

  virtual void start(Instance& instance) { static_cast<void>(instance); }
  /// May throw; what it emitted until then is dropped.
  virtual void run(Activation& activation) = 0;
  /// After the last run; also when the run failed.
  virtual void stop() {}
  /// An input that writes: may it write into the message's value itself? Asked on the home; the
  /// caller holds the message's one reference.
  [[nodiscard]] virtual bool may_write(const MessageData& message);
  /// A message with a value of its own in place of that one. GraphError if it can't be copied.
  [[nodiscard]] virtual MessageRef copy(const MessageData& message);
  /// False: not run now; asked again after each event and every 10 ms. Cheap, from any thread.
  [[nodiscard]] virtual bool ready() { return true; }
};

/// Who runs the bodies of a node: a worker of the pool, or one of the host language's threads.
enum class Home : std::uint8_t { pool, lane };

class BodyFactory {
 public:
  BodyFactory() = default;
  BodyFactory(const BodyFactory&) = delete;
  BodyFactory& operator=(const BodyFactory&) = delete;
  virtual ~BodyFactory() = default;
  /// Called on the instance's home, at the start of a run and after a restart.
  [[nodiscard]] virtual std::unique_ptr<Body> make(int instance) = 0;
  [[nodiscard]] virtual Home home() const { return Home::pool; }
  /// Errors that no on_error may pass over: faults of a device, no memory.
  [[nodiscard]] virtual bool is_fatal(const std::exception_ptr& error) const;
  /// The bodies have a ready() that is to be asked.
  [[nodiscard]] virtual bool has_ready() const { return false; }
  /// Something outside may make it ready at any time: it waiting is no deadlock.
  [[nodiscard]] virtual bool is_fed() const { return false; }
};

}  // namespace penstock::graph
