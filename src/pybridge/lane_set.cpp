#include "base/time.hpp"
#include "exec/fork.hpp"
#include "pybridge/graph_lane.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace penstock::pybridge {
namespace {

constexpr std::int64_t kFreeNs = 1'000'000;
constexpr std::int64_t kOwnLaneNs = 50'000;
// A body with the GIL that uses no processor waits for something; one that runs for so long at all
// may wait for what comes behind it.
constexpr std::int64_t kBlockedNs = 25'000'000;
constexpr std::int64_t kStuckNs = 500'000'000;
constexpr int kLooks = 3;

std::mutex sets_mutex;
std::vector<std::weak_ptr<LaneSet>>& sets() {
  static auto* all = new std::vector<std::weak_ptr<LaneSet>>;
  return *all;
}

}  // namespace

std::shared_ptr<LaneSet> LaneSet::make() {
  std::shared_ptr<LaneSet> set(new LaneSet);
  {
    const std::lock_guard guard(sets_mutex);
    std::erase_if(sets(), [](const auto& known) { return known.expired(); });
    sets().push_back(set);
  }
  start_retiring();
  wake_retire_thread();
  return set;
}

LaneSet::~LaneSet() {
  for (const auto& lane : lanes_) lane->stop();
}

GraphLane& LaneSet::add() {
  auto lane = std::make_shared<GraphLane>();
  lanes_.push_back(lane);
  find_thread(lane);
  return *lanes_.back();
}

runtime::Executor& LaneSet::lane(std::uint32_t chain, bool own) {
  static_cast<void>(chain);
  if (own) return add();
  if (shared_.load() == nullptr) shared_.store(&add());
  return *shared_.load();
}

bool LaneSet::watch_all() {
  if (exec::forked()) return false;
  std::vector<std::shared_ptr<LaneSet>> there;
  {
    const std::lock_guard guard(sets_mutex);
    for (const auto& set : sets()) {
      if (auto alive = set.lock()) there.push_back(std::move(alive));
    }
  }
  for (const auto& set : there) set->watch();
  return !there.empty();
}

void LaneSet::watch() {
  GraphLane* lane = shared_.load();
  if (lane == nullptr) return;
  const std::uint64_t activity = lane->activity_.load(std::memory_order_acquire);
  const bool is_long = std::exchange(lane->seen_activity_, activity) == activity;
  if (activity % 2 == 0) return;
  runtime::Runner* runner = lane->running_.load();
  Looks& looks = looks_[runner];
  const std::int64_t begun = now_ns();
  const std::int64_t thread_ns = lane->thread_ns();
  if (!is_long) {
    lane->seen_ns_ = begun;
    lane->seen_thread_ns_ = thread_ns;
  }
  const std::int64_t running_ns = is_long ? begun - lane->seen_ns_ : 0;
  const bool is_idle = thread_ns - lane->seen_thread_ns_ < kBlockedNs / 100;
  const bool is_blocked = running_ns > (is_idle ? kBlockedNs : kStuckNs);
  if (looks.held >= kLooks && !is_blocked) return;
  const AcquireGil gil;
  const bool is_same = lane->activity_.load(std::memory_order_acquire) == activity;
  if (now_ns() - begun > kFreeNs && !is_blocked) {
    ++looks.held;
    return;
  }
  if (!is_same) return;  // the runner may be gone
  looks.held = 0;
  ++looks.free;
  if (is_long) {
    hand_over(*runner);
  } else if (looks.free >= kLooks && runner->average_ns() > kOwnLaneNs) {
    runner->set_executor(add());
    looks.held = kLooks;
  }
}

// The blocked body keeps its thread, with a lane of its own; another thread serves the rest.
void LaneSet::hand_over(runtime::Runner& runner) {
  GraphLane& lane = *shared_.load();
  if (lane.server_ == nullptr) return;
  auto own = std::make_shared<GraphLane>();
  lanes_.push_back(own);
  own->server_ = lane.server_;
  own->activity_.store(1);
  own->thread_clock_.store(lane.thread_clock_.load());
  lane.server_->lane = own;
  lane.server_ = nullptr;
  lane.activity_.store(lane.activity_.load() + 1);
  runner.set_executor(*own);
  find_thread(lane.shared_from_this());
}

}  // namespace penstock::pybridge
