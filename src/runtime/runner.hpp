// One instance of an operator at work: its body, its streams, its limit of work in flight, what it
// counts. Used by whoever runs the instance, one thread at a time, but for what is said.
#pragma once

#include "graph/body.hpp"
#include "order/gate.hpp"
#include "order/uses.hpp"
#include "runtime/executor.hpp"
#include "runtime/flights.hpp"
#include "runtime/stats.hpp"
#include "trace/histogram.hpp"
#include "trace/nvtx.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace penstock::runtime {

class Node;
class RunState;

class Runner final : public graph::Instance {
 public:
  Runner(Node& node, int index, Executor& executor);
  ~Runner() override;

  // graph::Instance
  [[nodiscard]] order::Stream& stream() override;
  [[nodiscard]] order::Stream& extra_stream(const std::string& name) override;
  [[nodiscard]] Device device() const override { return device_; }
  [[nodiscard]] const std::string& name() const override;
  [[nodiscard]] int index() const override { return index_; }
  void notify() override;
  [[nodiscard]] bool is_stopping() const override;
  void stop_run() override;
  void fail(std::exception_ptr error) override;

  [[nodiscard]] Executor& executor() const { return *executor_.load(std::memory_order_acquire); }
  /// Another executor from the next post on. From any thread.
  void set_executor(Executor& executor) { executor_.store(&executor, std::memory_order_release); }
  /// The running average of the body's time. By whoever runs the instance, or a rough look.
  [[nodiscard]] std::int64_t average_ns() const {
    return average_ns_.load(std::memory_order_relaxed);
  }

  /// Makes and starts the body; an exception fails the run and gives false.
  [[nodiscard]] bool start();
  [[nodiscard]] bool is_started() const { return is_started_; }
  void stop();
  /// For whoever starts and stops it; an exception fails the run.
  [[nodiscard]] bool is_ready();

  /// True if the messages' work is complete as far as the body needs it; else the node's
  /// inputs_complete() is called when it is.
  [[nodiscard]] bool may_run(const graph::Activation& activation) {
    if (waits_.load()) return false;
    return !activation.may_hold_tensors() || are_inputs_complete(activation);
  }
  /// False while too much of its work is in flight; then notify() comes.
  [[nodiscard]] bool has_room_in_flight();
  /// Asks for the memory that the last activation took. True until the next run(), or retract().
  [[nodiscard]] bool admit() { return is_admitted_ || last_bytes_ == 0 || ask_for_memory(); }
  void retract();
  /// Work that it left on its stream is not complete; then notify() comes.
  [[nodiscard]] bool is_in_flight() { return !flights_.is_over(); }
  /// Runs the body, and does what is to be done with its exception.
  void run(graph::Activation& activation);
  /// Something in flight will notify the node.
  [[nodiscard]] bool is_waiting() const { return waits_.load() || flights_.is_awaited(); }
  /// True while activations are so short that a wake-up costs more.
  [[nodiscard]] bool is_light() const { return is_light_; }

  // Read by anybody.
  [[nodiscard]] std::int64_t activations() const {
    return activations_.load(std::memory_order_relaxed);
  }
  /// A body that runs at `now_ns` is included, if it is timed.
  [[nodiscard]] std::int64_t busy_ns(std::int64_t now_ns) const {
    const std::int64_t ended = busy_ns_.load(std::memory_order_relaxed);
    const std::int64_t since = runs_since_ns_.load(std::memory_order_relaxed);
    return since == 0 || since >= now_ns ? ended : ended + now_ns - since;
  }
  [[nodiscard]] std::int64_t skipped() const { return skipped_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t unmatched() const {
    return unmatched_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::exception_ptr last_error() const;
  [[nodiscard]] const trace::Histogram& times() const { return times_; }

 private:
  [[nodiscard]] order::Stream* current_stream();
  [[nodiscard]] bool are_inputs_complete(const graph::Activation& activation);
  [[nodiscard]] bool ask_for_memory();
  void tell_of_lost_device();
  void run_body(graph::Activation& activation, bool may_retry);
  void run_singly(graph::Activation& activation);
  [[nodiscard]] bool restart();
  void order_inputs(const graph::Activation& activation, order::Points& points);
  void make_private(graph::Activation& activation);
  void order_message(const MessageData& message, bool is_host, order::Points& points);
  void note_tensors(const graph::Activation& activation);
  void note_stream(const graph::Activation& activation);
  void follow_context(const graph::Activation& activation);
  void fail_activation(graph::Activation& activation, const MessageData* lead);
  [[nodiscard]] bool handle_error(const std::exception_ptr& error, const MessageData* lead);

  struct InputGate : order::Gate {
    using Gate::Gate;
    Runner* runner = nullptr;
  };

  Node& node_;
  const int index_;
  const Device device_;
  const bool writes_inputs_;
  const trace::RangeName range_name_;
  std::atomic<Executor*> executor_;
  std::unique_ptr<graph::Body> body_;
  bool is_started_ = false;
  bool is_light_ = false;
  Ref<order::Stream> stream_;
  std::map<std::string, Ref<order::Stream>> extra_;

  std::atomic<bool> waits_{false};
  std::exception_ptr input_error_;
  std::optional<InputGate> gate_;
  std::vector<order::PointWatch> watches_;
  std::shared_ptr<RunState> keep_alive_;

  Flights flights_;
  order::Point last_point_;
  backend::EventHandle context_event_ = backend::EventHandle::none;

  std::int64_t last_bytes_ = 0;  // that the last activation took from the cache
  std::int64_t admitted_bytes_ = 0;
  bool is_admitted_ = false;

  std::unique_ptr<graph::Activation> single_;
  std::atomic<std::int64_t> activations_{0};
  std::atomic<std::int64_t> busy_ns_{0};
  std::atomic<std::int64_t> runs_since_ns_{0};  // 0: no body runs, or its time is not taken
  std::atomic<std::int64_t> skipped_{0};
  std::atomic<std::int64_t> unmatched_{0};
  std::atomic<std::int64_t> average_ns_{0};
  trace::Histogram times_;
  mutable std::mutex error_mutex_;
  std::exception_ptr last_error_;
};

}  // namespace penstock::runtime
