// A node with one instance: it works where the instance lives.
#include "base/time.hpp"
#include "runtime/nodes.hpp"
#include "runtime/run_state.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {
namespace {

// Activations in a row before others get a turn.
constexpr int kBurst = 16;
constexpr std::int64_t kBurstNs = 50'000;
// Before so many nothing is known of a body: a job that waits for this worker may wait for long.
constexpr std::int64_t kKnown = 16;

class SingleNode final : public Node {
 public:
  using Node::Node;

  void inputs_complete(Runner& runner) override {
    static_cast<void>(runner);
    notify();
  }

 private:
  [[nodiscard]] Runner& runner() const { return *runners_.front(); }

  bool is_any_ready() override { return runner().is_ready(); }

  void take_over() override {
    post(runner().executor(), runner().is_light() ? exec::Hint::light : exec::Hint::next);
  }

  Step work() override {
    const bool begins = !is_ending_ && !runner().is_started() && !run_.is_aborted();
    if (begins && !runner().start()) is_ending_ = true;
    const Step step = is_ending_ ? end() : work_through();
    if (step != Step::ended) tell_neighbours();
    return step;
  }

  Step work_through() {
    const std::int64_t begun = runner().is_light() ? 0 : now_ns();
    for (int left = kBurst; left > 0; --left) {
      if (run_.is_aborted()) return end();
      if (!outlet_->flush()) return Step::wait;
      if (!has_activation_) {
        // Room is not waited for where nothing is there to be sent.
        if (lacks_input()) return is_exhausted() ? end() : Step::wait;
        if (!outlet_->has_room() || !runner().has_room_in_flight()) {
          return outlet_->is_unwanted() ? end() : Step::wait;
        }
        MessageRef gap;
        const Found found = claim(activation_, gap);
        if (found == Found::none) return Step::wait;
        if (found == Found::over) return end();
        if (found == Found::gap) {
          outlet_->stage_gap(gap);
          continue;
        }
        has_activation_ = true;
        if (!runner().is_light()) intake_->notify_room();
      }
      if (!runner().may_run(activation_) || !is_admitted(runner())) return Step::wait;
      has_activation_ = false;
      runner().run(activation_);
      const bool is_over = activation_.ended && !(spec_.is_loop && activation_.is_source);
      deliver(activation_);
      if (is_over || run_.is_aborted()) return end();
      // The next body may wait for what this one sent.
      if (!outlet_->flush()) return Step::wait;
      outlet_->notify();
      if (runner().is_light()) continue;
      runner().executor().between();
      if (runner().activations() < kKnown) break;
      if (now_ns() - begun + runner().average_ns() > kBurstNs) break;
    }
    return Step::yield;
  }

  Step end() {
    is_ending_ = true;
    if (run_.is_aborted()) {
      outlet_->drop();
    } else if (!outlet_->flush() || runner().is_in_flight()) {
      return Step::wait;
    }
    activation_.clear();
    outlet_->notify();
    runner().stop();
    close();
    return Step::ended;
  }

  graph::Activation activation_;
  bool has_activation_ = false;
};

}  // namespace

std::unique_ptr<Node> make_single_node(RunState& run, std::uint32_t index) {
  return std::make_unique<SingleNode>(run, index);
}

}  // namespace penstock::runtime
