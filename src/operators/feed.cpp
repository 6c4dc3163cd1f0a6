#include "operators/feed.hpp"

#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/pool.hpp"
#include "operators/operators.hpp"

#include <chrono>
#include <utility>

namespace penstock::operators {
namespace {

template <class Until>
bool wait(std::condition_variable& changed, std::unique_lock<std::mutex>& guard,
          std::int64_t deadline_ns, Until until) {
  if (deadline_ns != kNever) {
    const std::chrono::steady_clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
    return changed.wait_until(guard, deadline, until);
  }
  if (until()) return true;
  guard.unlock();
  exec::Pool::before_blocking();
  guard.lock();
  changed.wait(guard, until);
  return true;
}

class FeedBody final : public graph::Body {
 public:
  explicit FeedBody(std::shared_ptr<Feed> feed) : feed_(std::move(feed)) {}
  void start(graph::Instance& instance) override {
    feed_->attach(instance, "feed");
    is_attached_ = true;
  }
  void run(graph::Activation& activation) override {
    bool is_last = false;
    if (MessageRef message = feed_->take(is_last)) activation.emit(0, std::move(message));
    if (is_last) activation.end();
  }
  void stop() override {
    if (is_attached_) feed_->detach();
  }
  [[nodiscard]] bool ready() override { return feed_->ready(); }

 private:
  const std::shared_ptr<Feed> feed_;
  bool is_attached_ = false;
};

// Gives the bodies of a hatch.
class HatchFactory : public graph::BodyFactory {
 public:
  [[nodiscard]] virtual std::shared_ptr<Hatch> hatch() const = 0;
  [[nodiscard]] bool has_ready() const override { return true; }
};

class FeedFactory final : public HatchFactory {
 public:
  explicit FeedFactory(std::shared_ptr<Feed> feed) : feed_(std::move(feed)) {}
  [[nodiscard]] std::shared_ptr<Hatch> hatch() const override { return feed_; }
  [[nodiscard]] std::unique_ptr<graph::Body> make(int) override {
    return std::make_unique<FeedBody>(feed_);
  }
  [[nodiscard]] bool is_fed() const override { return !feed_->is_closed(); }

 private:
  const std::shared_ptr<Feed> feed_;
};

class DrainBody final : public graph::Body {
 public:
  explicit DrainBody(std::shared_ptr<Drain> drain) : drain_(std::move(drain)) {}
  void start(graph::Instance& instance) override {
    drain_->attach(instance, "iterate");
    is_attached_ = true;
  }
  void run(graph::Activation& activation) override { drain_->give(activation.port(0).front()); }
  void stop() override {
    if (is_attached_) drain_->detach();
  }
  [[nodiscard]] bool ready() override { return drain_->ready(); }

 private:
  const std::shared_ptr<Drain> drain_;
  bool is_attached_ = false;
};

class DrainFactory final : public HatchFactory {
 public:
  explicit DrainFactory(std::shared_ptr<Drain> drain) : drain_(std::move(drain)) {}
  [[nodiscard]] std::shared_ptr<Hatch> hatch() const override { return drain_; }
  [[nodiscard]] std::unique_ptr<graph::Body> make(int) override {
    return std::make_unique<DrainBody>(drain_);
  }
  [[nodiscard]] bool has_ready() const override { return true; }
  // Only a full one waits for the program; an empty one waits for the graph.
  [[nodiscard]] bool is_fed() const override { return !drain_->ready(); }

 private:
  const std::shared_ptr<Drain> drain_;
};

}  // namespace

void Hatch::attach(graph::Instance& instance, const char* kind) {
  const std::lock_guard guard(mutex_);
  if (instance_ != nullptr) {
    throw_error<GraphError>("{}: {} is used by another run already; make one for each run",
                            instance.name(), kind);
  }
  instance_ = &instance;
  has_ended_ = false;
}

void Hatch::end_unused() {
  const std::lock_guard guard(mutex_);
  if (instance_ != nullptr) return;
  has_ended_ = true;
  changed_.notify_all();
}

void tell_end(const graph::Graph& graph, runtime::Run& run) {
  for (const graph::NodeSpec& node : graph.nodes()) {
    const auto* factory = dynamic_cast<const HatchFactory*>(node.factory.get());
    if (factory == nullptr) continue;
    run.on_end([hatch = factory->hatch()] { hatch->end_unused(); });
  }
}

void Hatch::detach() {
  const std::lock_guard guard(mutex_);
  instance_ = nullptr;
  has_ended_ = true;
  changed_.notify_all();
}

Put Feed::put(MessageRef message, std::int64_t deadline_ns) {
  std::unique_lock guard(mutex_);
  const auto has_news = [this] { return is_closed_ || has_ended_ || messages_.size() < capacity_; };
  if (!wait(changed_, guard, deadline_ns, has_news)) return Put::full;
  if (is_closed_) return Put::closed;
  if (has_ended_) return Put::ended;
  messages_.push(std::move(message));
  notify();
  return Put::done;
}

void Feed::close() {
  const std::lock_guard guard(mutex_);
  is_closed_ = true;
  changed_.notify_all();
  notify();
}

bool Feed::ready() const {
  const std::lock_guard guard(mutex_);
  return is_closed_ || !messages_.empty();
}

bool Feed::is_closed() const {
  const std::lock_guard guard(mutex_);
  return is_closed_;
}

MessageRef Feed::take(bool& is_last) {
  const std::lock_guard guard(mutex_);
  MessageRef message;
  if (!messages_.empty()) message = messages_.pop();
  is_last = is_closed_ && messages_.empty();
  changed_.notify_one();
  return message;
}

MessageRef Drain::next(std::int64_t deadline_ns) {
  std::unique_lock guard(mutex_);
  const auto has_news = [this] { return has_ended_ || !messages_.empty(); };
  if (!wait(changed_, guard, deadline_ns, has_news) || messages_.empty()) return {};
  MessageRef message = messages_.pop();
  notify();
  return message;
}

void Drain::abandon() {
  const std::lock_guard guard(mutex_);
  is_abandoned_ = true;
  while (!messages_.empty()) messages_.pop();
  notify();
}

bool Drain::ready() const {
  const std::lock_guard guard(mutex_);
  return is_abandoned_ || messages_.size() < capacity_;
}

void Drain::give(MessageRef message) {
  const std::lock_guard guard(mutex_);
  if (is_abandoned_) return;
  messages_.push(std::move(message));
  changed_.notify_one();
}

graph::NodeSpec feed(std::shared_ptr<Feed> feed, OperatorOptions options) {
  graph::NodeSpec spec;
  spec.kind = "feed";
  spec.options = std::move(options);
  spec.outputs.push_back(port("out"));
  spec.factory = std::make_shared<FeedFactory>(std::move(feed));
  return spec;
}

graph::NodeSpec drain(std::shared_ptr<Drain> drain, OperatorOptions options) {
  graph::NodeSpec spec;
  spec.kind = "drain";
  spec.options = std::move(options);
  spec.inputs.push_back(port("in"));
  spec.factory = std::make_shared<DrainFactory>(std::move(drain));
  return spec;
}

}  // namespace penstock::operators
