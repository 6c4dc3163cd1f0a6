// The inside of a run: what its nodes share. Lives until its last handle, job, timer and gate are
// gone.
#pragma once

#include "runtime/admission.hpp"
#include "runtime/node.hpp"
#include "runtime/run.hpp"
#include "trace/histogram.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace penstock::runtime {

class RunState final : public Run, public std::enable_shared_from_this<RunState> {
 public:
  RunState(std::shared_ptr<const graph::Graph> graph, RunOptions options);
  ~RunState() override;
  void begin();

  // Run
  void stop() override;
  void abort(std::exception_ptr error) override;
  [[nodiscard]] bool wait(std::int64_t deadline_ns) override;
  [[nodiscard]] bool is_over() const override { return is_over_.load(); }
  [[nodiscard]] Failure failure() const override;
  void on_end(std::function<void()> call) override;
  [[nodiscard]] RunStats stats() const override;
  [[nodiscard]] const graph::Plan& plan() const override { return plan_; }

  // For nodes.
  [[nodiscard]] const graph::Graph& graph() const { return *graph_; }
  [[nodiscard]] const RunOptions& options() const { return options_; }
  [[nodiscard]] bool is_stopping() const { return stopping_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool is_aborted() const { return aborted_.load(std::memory_order_relaxed); }
  void fail(const Node& node, int instance, const Origin* origin, std::exception_ptr error);
  /// A device was lost while the node had work there, or none that was not complete.
  void lose_device(const Node& node, std::exception_ptr fault, bool had_work);
  void node_ended();
  /// The stream for an instance's work, by the policy of the run.
  [[nodiscard]] Ref<order::Stream> stream_for(const Node& node, int instance);
  [[nodiscard]] trace::Histogram* latency(std::uint32_t source, std::uint32_t node) const;
  [[nodiscard]] Executor& pool() { return pool_; }
  [[nodiscard]] Admission& admission() { return admission_; }
  [[nodiscard]] std::uint32_t source_of(std::uint32_t node) const { return source_numbers_[node]; }

 private:
  void build();
  void connect();
  void notify_all();
  void end();
  /// Who waits for whom, if nothing can go on: ends loops that are empty, lets joins take in more,
  /// or fails the run.
  void look();
  void look_again_soon();
  [[nodiscard]] bool is_stuck();
  void resolve();
  [[nodiscard]] bool cut_empty_loops();
  [[nodiscard]] bool may_give_to(std::size_t loop) const;
  void record(Failure failure);
  [[nodiscard]] Ref<order::Stream> find_stream(const Node& node, int instance);

  const std::shared_ptr<const graph::Graph> graph_;
  RunOptions options_;
  graph::Plan plan_;
  PoolExecutor pool_;
  Admission admission_;
  std::vector<std::unique_ptr<Edge>> edges_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::uint32_t> source_numbers_;
  std::vector<std::unique_ptr<trace::Histogram>> latencies_;
  std::int64_t begun_ns_ = 0;
  std::atomic<std::int64_t> ended_ns_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> aborted_{false};
  std::atomic<bool> is_over_{false};
  std::atomic<std::uint32_t> unfinished_{0};

  mutable std::mutex mutex_;
  std::condition_variable over_;
  Failure failure_;
  std::vector<std::function<void()>> end_calls_;

  std::mutex streams_mutex_;
  std::vector<Ref<order::Stream>> chain_streams_;
  Ref<order::Stream> single_stream_;

  struct Watch : exec::Job {
    exec::Timer timer;
    RunState* run = nullptr;
    std::shared_ptr<RunState> keep_alive;
    std::uint64_t progress = 0;
    bool was_stuck = false;
  } watch_;
};

}  // namespace penstock::runtime
