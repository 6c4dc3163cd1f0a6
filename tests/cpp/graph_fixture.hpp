// Small graphs of functions, for the tests of graph and runtime.
#pragma once

#include <penstock/error.hpp>

#include "base/time.hpp"
#include "exec_fixture.hpp"
#include "graph/graph.hpp"
#include "runtime/run.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace penstock::graph::test {

class FunctionBody final : public Body {
 public:
  explicit FunctionBody(std::function<void(Activation&)> run) : run_(std::move(run)) {}
  void run(Activation& activation) override { run_(activation); }

 private:
  std::function<void(Activation&)> run_;
};

class FunctionFactory final : public BodyFactory {
 public:
  explicit FunctionFactory(std::function<std::function<void(Activation&)>(int)> make)
      : make_(std::move(make)) {}
  std::unique_ptr<Body> make(int instance) override {
    return std::make_unique<FunctionBody>(make_(instance));
  }

 private:
  std::function<std::function<void(Activation&)>(int)> make_;
};

template <class T>
MessageRef message(T value) {
  return MessageRef::adopt(Message::of(std::move(value)).leak());
}
template <class T>
const T& value_of(const MessageRef& message) {
  return detail::value_at<T>(message->storage);
}

inline std::vector<PortSpec> ports(std::initializer_list<const char*> names) {
  std::vector<PortSpec> all;
  for (const char* name : names) {
    all.emplace_back();
    all.back().name = name;
  }
  return all;
}

inline NodeSpec node(std::string name, std::initializer_list<const char*> inputs,
                     std::initializer_list<const char*> outputs,
                     std::function<void(Activation&)> run) {
  NodeSpec spec;
  spec.kind = name;
  spec.options.name = std::move(name);
  spec.inputs = ports(inputs);
  spec.outputs = ports(outputs);
  spec.factory = std::make_shared<FunctionFactory>([run = std::move(run)](int) { return run; });
  return spec;
}

/// Emits 0 to count - 1.
inline NodeSpec numbers(std::string name, std::int64_t count) {
  NodeSpec spec = node(std::move(name), {}, {"out"}, nullptr);
  spec.factory = std::make_shared<FunctionFactory>([count](int) {
    return [count, next = std::int64_t{0}](Activation& a) mutable {
      if (next < count) a.emit(0, message(next++));
      if (next == count) a.end();
    };
  });
  return spec;
}

/// Collects what comes.
struct Collected {
  std::mutex mutex;
  std::vector<std::vector<std::int64_t>> rows;  // -1: nothing on that port
};
inline NodeSpec collect(std::string name, std::shared_ptr<Collected> into,
                        std::initializer_list<const char*> inputs = {"in"}) {
  return node(std::move(name), inputs, {}, [into = std::move(into)](Activation& a) {
    std::vector<std::int64_t> row;
    for (std::size_t p = 0; p < a.ports(); ++p) {
      for (const MessageRef& m : a.port(p)) row.push_back(m ? value_of<std::int64_t>(m) : -1);
    }
    const std::lock_guard guard(into->mutex);
    into->rows.push_back(std::move(row));
  });
}

/// The first message, through `f`; a negative result emits nothing.
inline NodeSpec map(std::string name, std::function<std::int64_t(std::int64_t)> f) {
  return node(std::move(name), {"in"}, {"out"}, [f = std::move(f)](Activation& a) {
    for (std::size_t i = 0; i < a.items(); ++i) {
      const std::int64_t result = f(value_of<std::int64_t>(a.port(0)[i]));
      if (result >= 0) a.emit(0, message(result), i);
    }
  });
}

inline runtime::RunStats run(std::shared_ptr<Graph> graph, runtime::RunOptions options = {}) {
  const auto running = runtime::Run::start(std::move(graph), std::move(options));
  if (!running->wait(now_ns() + 60'000'000'000)) {
    // It must not outlive what the test's bodies refer to.
    running->abort(std::make_exception_ptr(std::runtime_error("it runs for more than 60 s")));
    static_cast<void>(running->wait(kNever));
  }
  return running->stats();
}

}  // namespace penstock::graph::test
