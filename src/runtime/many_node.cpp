// A node with several instances: its own work, claiming and giving out in order, is done by whoever
// notifies it.
#include "base/ring_queue.hpp"
#include "base/time.hpp"
#include "runtime/nodes.hpp"
#include "runtime/run_state.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {
namespace {

// Nodes that notify each other on one stack.
constexpr int kDepth = 16;
// Numbers that nothing comes for, told of together.
constexpr std::size_t kGapsInOne = 64;

// Claims are in the order of the inputs; results that may not overtake wait in `ordered_`. An
// instance's job comes back by the list `done_`: pushed by compare-exchange, taken whole.
class ManyNode final : public Node {
 public:
  using Node::Node;

  void add_runner(std::unique_ptr<Runner> runner) override {
    auto seat = std::make_unique<Seat>();
    seat->node = this;
    seat->runner = runner.get();
    seat->run = [](exec::Job* job) {
      auto* own = static_cast<Seat*>(job);
      static_cast<ManyNode*>(own->node)->sit(*own);
    };
    seats_.push_back(std::move(seat));
    Node::add_runner(std::move(runner));
  }

  void inputs_complete(Runner& runner) override {
    submit(*seats_[static_cast<std::size_t>(runner.index())]);
  }

 private:
  enum class Task : std::uint8_t { start, run, stop };
  struct Seat : exec::Job {
    Node* node = nullptr;
    Runner* runner = nullptr;
    Task task = Task::start;
    graph::Activation* activation = nullptr;
    bool is_busy = false;
    bool is_over = false;          // of a source: its instance has no more to give
    std::uint64_t idle_since = 0;  // in the order in which they came back
    Seat* next_done = nullptr;
    RingQueue<graph::Activation*> queue;  // with an instance for each source
  };

  void submit(Seat& seat) { seat.runner->executor().post(&seat, exec::Hint::spread); }

  void dispatch(Seat& seat, Task task, graph::Activation* activation = nullptr) {
    seat.task = task;
    seat.activation = activation;
    seat.is_busy = true;
    ++busy_;
    expects_.store(true);
    submit(seat);
  }

  // On the instance's home.
  void sit(Seat& seat) {
    switch (seat.task) {
      case Task::start:
        static_cast<void>(seat.runner->start());
        break;
      case Task::run:
        if (run_.is_aborted()) break;
        if (!seat.runner->may_run(*seat.activation)) return;  // comes again
        seat.runner->run(*seat.activation);
        break;
      case Task::stop:
        seat.runner->stop();
        break;
    }
    const auto keep = run_.shared_from_this();
    seat.next_done = done_.load(std::memory_order_relaxed);
    while (!done_.compare_exchange_weak(seat.next_done, &seat)) {
    }
    notify();
  }

  // A chain of such nodes notifies from one to the next; a long one goes on in a fresh job.
  void take_over() override {
    static thread_local int depth = 0;
    if (depth == kDepth) {
      post(run_.pool(), exec::Hint::next);
      return;
    }
    ++depth;
    run_owned();
    --depth;
  }

  bool is_any_ready() override {
    return std::ranges::any_of(seats_, [](const auto& seat) {
      return !seat->is_busy && !seat->is_over && seat->runner->is_ready();
    });
  }

  Step work() override {
    collect();
    if (!has_begun_) {
      has_begun_ = true;
      for (auto& seat : seats_) dispatch(*seat, Task::start);
    }
    for (auto& seat : seats_) feed(*seat);
    if (held_ != nullptr && place(held_)) held_ = nullptr;
    give_out();
    if (run_.is_aborted()) is_ending_ = true;
    if (!is_ending_) claim_all();
    give_out();
    const Step step = is_ending_ ? end() : Step::wait;
    if (step != Step::ended) tell_neighbours();
    return step;
  }

  void collect() {
    Seat* seat = nullptr;
    for (Seat* newest = done_.exchange(nullptr); newest != nullptr;) {
      Seat* next = std::exchange(newest->next_done, seat);
      seat = std::exchange(newest, next);
    }
    while (seat != nullptr) {
      Seat* next = seat->next_done;
      seat->is_busy = false;
      seat->idle_since = ++returns_;
      --busy_;
      if (graph::Activation* activation = std::exchange(seat->activation, nullptr)) {
        if (activation->ended && planned_.is_source) {
          seat->is_over = true;
          activation->ended =
              std::ranges::all_of(seats_, [](const auto& one) { return one->is_over; });
        }
        if (keeps_order()) {
          ordered_[activation->sequence % ordered_.size()] = activation;
        } else {
          arrived_.push(activation);
        }
      }
      if (!seat->runner->is_started() && seat->task == Task::start) is_ending_ = true;
      seat = next;
    }
    if (busy_ == 0) expects_.store(false);
  }

  void give_out() {
    while (outlet_->flush()) {
      graph::Activation* activation = nullptr;
      if (!arrived_.empty()) {
        activation = arrived_.pop();
      } else if (!ordered_.empty()) {
        activation = std::exchange(ordered_[head_ % ordered_.size()], nullptr);
        if (activation != nullptr) ++head_;
      }
      if (activation == nullptr) return;
      if (activation->ended) is_ending_ = true;
      deliver(*activation);
      free_.push_back(activation);
      --claimed_now_;
    }
  }

  void claim_all() {
    if (activations_.empty()) make_activations();
    while (!free_.empty() && held_ == nullptr && outlet_->is_empty()) {
      Seat* idle = find_idle();
      if (idle == nullptr && !spec_.options.per_source) return;
      if (!spec_.options.per_source && !is_admitted(*idle->runner)) return;
      graph::Activation* activation = free_.back();
      MessageRef gap;
      const Found found = claim(*activation, gap);
      if (found != Found::tuple && idle != nullptr) idle->runner->retract();
      if (found == Found::none) return;
      if (found == Found::over) {
        is_ending_ = true;
        return;
      }
      if (found == Found::gap) {
        take_gap(std::move(gap));
        if (!outlet_->flush()) return;
        continue;
      }
      take_activation();
      intake_->notify_room();
      if (!spec_.options.per_source) {
        dispatch(*idle, Task::run, activation);
      } else if (!place(activation)) {
        held_ = activation;
      }
    }
  }

  graph::Activation* take_activation() {
    graph::Activation* activation = free_.back();
    free_.pop_back();
    ++claimed_now_;
    activation->sequence = sequence_++;
    return activation;
  }

  // It goes out after what was claimed before it.
  void take_gap(MessageRef gap) {
    if (claimed_now_ == 0 || (!keeps_order() && !spec_.options.per_source)) {
      outlet_->stage_gap(gap);
      return;
    }
    if (keeps_order()) {
      graph::Activation* last = ordered_[(sequence_ - 1) % ordered_.size()];
      if (last != nullptr && is_gap(*last) && last->gaps.size() < kGapsInOne) {
        last->gaps.push_back({0, std::move(gap)});
        return;
      }
    }
    graph::Activation* activation = take_activation();
    activation->gaps.push_back({0, std::move(gap)});
    if (keeps_order()) {
      ordered_[activation->sequence % ordered_.size()] = activation;
    } else if (!place(activation)) {
      held_ = activation;
    }
  }
  static bool is_gap(const graph::Activation& activation) {
    return activation.ports() == 0 && !activation.is_source;
  }
  [[nodiscard]] bool keeps_order() const {
    return spec_.options.order == OutputOrder::input && !spec_.options.per_source;
  }

  // One that is ready, if any is. The last that came back: its thread may be awake still.
  Seat* find_idle() {
    Seat* ready = nullptr;
    Seat* idle = nullptr;
    for (const auto& each : seats_) {
      Seat& seat = *each;
      if (seat.is_busy || seat.is_over || !seat.runner->has_room_in_flight()) continue;
      idle = &seat;
      if (ready != nullptr && ready->idle_since > seat.idle_since) continue;
      if (!spec_.factory->has_ready() || seat.runner->is_ready()) ready = &seat;
    }
    return ready != nullptr ? ready : idle;
  }

  // To the instance of its source; false if that has enough to do.
  bool place(graph::Activation* activation) {
    const MessageData* lead =
        is_gap(*activation) ? activation->gaps.front().gap.get() : activation->lead();
    const std::uint32_t source = lead == nullptr ? 0 : lead->origin.source;
    const auto known = std::ranges::find(sources_, source);
    const auto index = static_cast<std::size_t>(known - sources_.begin());
    if (known == sources_.end()) sources_.push_back(source);
    Seat& seat = *seats_[index % seats_.size()];
    if (seat.queue.size() >= static_cast<std::size_t>(spec_.options.capacity)) return false;
    seat.queue.push(activation);
    feed(seat);
    return true;
  }
  void feed(Seat& seat) {
    if (seat.is_busy) return;
    while (!seat.queue.empty() && is_gap(*seat.queue.front())) arrived_.push(seat.queue.pop());
    if (seat.queue.empty() || !seat.runner->has_room_in_flight()) return;
    if (!is_admitted(*seat.runner)) return;
    dispatch(seat, Task::run, seat.queue.pop());
  }

  void make_activations() {
    std::size_t count = seats_.size() * 2;
    if (spec_.options.per_source) {
      count = seats_.size() * (static_cast<std::size_t>(spec_.options.capacity) + 2);
    }
    for (std::size_t i = 0; i < count; ++i) {
      activations_.push_back(std::make_unique<graph::Activation>());
      free_.push_back(activations_.back().get());
    }
    ordered_.resize(count);
  }

  Step end() {
    if (run_.is_aborted()) {
      outlet_->drop();
      for (auto& seat : seats_) {
        while (!seat->queue.empty()) release(seat->queue.pop());
      }
      if (held_ != nullptr) release(std::exchange(held_, nullptr));
    } else if (claimed_now_ > 0 || !outlet_->flush() || is_in_flight()) {
      return Step::wait;
    }
    if (busy_ > 0) return Step::wait;
    if (!std::exchange(is_stopping_, true)) {
      for (auto& seat : seats_) {
        if (seat->runner->is_started()) dispatch(*seat, Task::stop);
      }
      if (busy_ > 0) return Step::wait;
    }
    outlet_->notify();
    close();
    return Step::ended;
  }
  [[nodiscard]] bool is_in_flight() const {
    return std::ranges::any_of(runners_, [](const auto& runner) { return runner->is_in_flight(); });
  }
  void release(graph::Activation* activation) {
    activation->clear();
    free_.push_back(activation);
  }

  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<std::unique_ptr<graph::Activation>> activations_;
  std::vector<graph::Activation*> free_;
  std::vector<graph::Activation*> ordered_;
  RingQueue<graph::Activation*> arrived_;
  graph::Activation* held_ = nullptr;
  std::vector<std::uint32_t> sources_;
  std::uint64_t head_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t returns_ = 0;
  std::size_t claimed_now_ = 0;
  int busy_ = 0;
  bool has_begun_ = false;
  bool is_stopping_ = false;
  std::atomic<Seat*> done_{nullptr};
};

}  // namespace

std::unique_ptr<Node> make_many_node(RunState& run, std::uint32_t index) {
  return std::make_unique<ManyNode>(run, index);
}

}  // namespace penstock::runtime
