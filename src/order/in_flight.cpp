#include "order/in_flight.hpp"

#include "base/throw.hpp"
#include "base/time.hpp"
#include "exec/pool.hpp"
#include "order/gate.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace penstock::order {

struct InFlight::State {
  explicit State(std::int64_t most) : limit(most) {}
  [[nodiscard]] bool has_room() const { return count < limit; }
  void leave() {
    const std::lock_guard guard(mutex);
    --count;
    room.notify_one();
  }

  const std::int64_t limit;
  std::mutex mutex;
  std::condition_variable room;
  std::int64_t count = 0;
  std::int64_t peak = 0;
};

namespace {

// One piece of work; it frees itself when its point is complete.
template <class State>
struct Piece : Gate {
  explicit Piece(std::shared_ptr<State> counter)
      : Gate([](Gate* gate) {
          const std::unique_ptr<Piece> piece(static_cast<Piece*>(gate));
          piece->state->leave();
        }),
        state(std::move(counter)) {}
  std::shared_ptr<State> state;
  PointWatch point_watch;
};

}  // namespace

InFlight::InFlight(std::int64_t limit) : state_(std::make_shared<State>(limit)) {
  if (limit < 1) throw_error<Error>("InFlight: limit {} is less than 1", limit);
}
InFlight::~InFlight() = default;

bool InFlight::enter(std::int64_t deadline_ns) {
  if (deadline_ns > 0) exec::Pool::before_blocking();
  std::unique_lock guard(state_->mutex);
  const auto has_room = [this] { return state_->has_room(); };
  if (deadline_ns == kNever) {
    state_->room.wait(guard, has_room);
  } else if (!has_room()) {
    const std::chrono::steady_clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
    if (deadline_ns <= 0 || !state_->room.wait_until(guard, deadline, has_room)) return false;
  }
  state_->peak = std::max(state_->peak, ++state_->count);
  return true;
}

void InFlight::leave_when(Point point) {
  auto* piece = new Piece<State>(state_);
  watch(*piece, point, piece->point_watch);
  piece->drop();
}

void InFlight::leave() { state_->leave(); }

bool InFlight::has_room() const { return count() < state_->limit; }
std::int64_t InFlight::limit() const { return state_->limit; }
std::int64_t InFlight::count() const {
  const std::lock_guard guard(state_->mutex);
  return state_->count;
}
std::int64_t InFlight::peak() const {
  const std::lock_guard guard(state_->mutex);
  return state_->peak;
}

}  // namespace penstock::order
