#include "order/in_flight.hpp"

#include "base/throw.hpp"
#include "base/time.hpp"
#include "order/gate.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace penstock::order {

struct InFlight::State {
  explicit State(std::int64_t most) : limit(most) {}
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
          const std::lock_guard guard(piece->state->mutex);
          --piece->state->count;
          piece->state->room.notify_all();
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

bool InFlight::has_room() const {
  const std::lock_guard guard(state_->mutex);
  return state_->count < state_->limit;
}

bool InFlight::wait_for_room(std::int64_t deadline_ns) {
  std::unique_lock guard(state_->mutex);
  const auto room = [this] { return state_->count < state_->limit; };
  if (deadline_ns == kNever) {
    state_->room.wait(guard, room);
    return true;
  }
  const std::chrono::steady_clock::time_point deadline{std::chrono::nanoseconds(deadline_ns)};
  return state_->room.wait_until(guard, deadline, room);
}

void InFlight::add(Point point) {
  {
    const std::lock_guard guard(state_->mutex);
    state_->peak = std::max(state_->peak, ++state_->count);
  }
  auto* piece = new Piece<State>(state_);
  watch(*piece, point, piece->point_watch);
  piece->drop();
}

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
