#include "runtime/flights.hpp"

#include "runtime/run_state.hpp"

#include <memory>
#include <utility>

namespace penstock::runtime {
namespace {

constexpr std::size_t kFlightsUnasked = 2;

// A lost device has completed everything.
bool is_over_at(order::Point point) {
  try {
    return order::is_complete(point);
  } catch (const DeviceError&) {
    return true;
  }
}

// Frees itself, and with it the messages, when the work is over.
struct Remains : order::Gate {
  Remains()
      : Gate([](Gate* gate) {
          const std::unique_ptr<Remains> remains(static_cast<Remains*>(gate));
        }) {}
  std::vector<Ref<MessageData>> held;
  order::PointWatch watch;
};

}  // namespace

Flights::~Flights() {
  if (held_.empty()) return;
  mark();
  auto remains = std::make_unique<Remains>();
  order::Point last;
  while (!flights_.empty()) last = flights_.pop().point;
  while (!held_.empty()) remains->held.push_back(held_.pop());
  if (last.mark != 0) order::watch(*remains, last, remains->watch);
  remains.release()->drop();
}

void Flights::hold(Ref<MessageData> message) {
  held_.push(std::move(message));
  ++unmarked_.held;
}

void Flights::add(order::Point point) {
  unmarked_.point = point;
  ++unmarked_.activations;
  if (unmarked_.held > 0) mark();
  // Whoever wants room asks; here the list is kept short where there is no limit to speak of.
  if (flights_.size() > kFlightsUnasked) drop_complete();
}

void Flights::mark() {
  if (unmarked_.activations == 0) return;
  const Flight flight = std::exchange(unmarked_, {});
  try {
    static_cast<void>(order::mark_of(flight.point));
  } catch (const DeviceError&) {
    forget();  // lost: no mark will ever stand for what has none
    return;
  }
  in_flight_ += flight.activations;
  flights_.push(flight);
}

void Flights::forget() {
  while (!flights_.empty()) static_cast<void>(flights_.pop());
  while (!held_.empty()) static_cast<void>(held_.pop());
  in_flight_ = 0;
}

void Flights::drop_complete() {
  while (!flights_.empty() && is_over_at(flights_.front().point)) {
    const Flight over = flights_.pop();
    in_flight_ -= over.activations;
    for (int i = 0; i < over.held; ++i) static_cast<void>(held_.pop());
  }
}

bool Flights::has_room(int limit) {
  if (unmarked_.activations * 2 >= limit) mark();
  if (in_flight_ + unmarked_.activations < limit) return true;
  drop_complete();
  if (in_flight_ + unmarked_.activations < limit) return true;
  mark();
  if (in_flight_ < limit) return true;  // the device is lost
  arm();
  return false;
}

bool Flights::is_over() {
  mark();
  drop_complete();
  if (flights_.empty()) return true;
  arm();
  return false;
}

void Flights::arm() {
  if (is_armed_.load()) return;
  keep_alive_ = node_.owner().shared_from_this();
  is_armed_.store(true);
  wake_.emplace([](order::Gate* gate) {
    Flights& flights = *static_cast<Wake*>(gate)->flights;
    const auto keep = std::move(flights.keep_alive_);
    Node& node = flights.node_;
    flights.is_armed_.store(false);
    node.notify();
  });
  wake_->flights = this;
  order::watch(*wake_, flights_.front().point, watch_);
  wake_->drop();
}

}  // namespace penstock::runtime
