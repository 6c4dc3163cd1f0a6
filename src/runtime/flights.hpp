// Work that an instance left on its stream: how many activations of it are not over, and the
// messages that have to live until then. Marks are made for half the limit at once, before the next
// activation: by then one mark stands for all operators of a chain. They are asked for by whoever
// wants room; the reactor asks only while the node waits.
// Used by whoever runs the instance, but for what is said. A node that waits for it is kept alive.
#pragma once

#include "base/ring_queue.hpp"
#include "graph/message_data.hpp"
#include "order/gate.hpp"
#include "order/stream.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

namespace penstock::runtime {

class Node;
class RunState;

class Flights {
 public:
  explicit Flights(Node& node) : node_(node) {}
  ~Flights();
  Flights(const Flights&) = delete;
  Flights& operator=(const Flights&) = delete;

  /// What the activation whose work is over at that point needs to live until then.
  void hold(Ref<MessageData> message);
  /// An activation left work on the stream that is over at that point.
  void add(order::Point point);
  /// True if less than `limit` activations are in flight; else the node is notified when one ends.
  [[nodiscard]] bool has_room(int limit);
  /// True if all of it is over; else the node is notified.
  [[nodiscard]] bool is_over();
  /// True while a notification is to come. Read by anybody.
  [[nodiscard]] bool is_awaited() const { return is_armed_.load(); }

 private:
  struct Flight {
    order::Point point;
    int activations = 0;
    int held = 0;
  };
  struct Wake : order::Gate {
    using Gate::Gate;
    Flights* flights = nullptr;
  };

  void mark();
  void forget();
  void drop_complete();
  void arm();

  Node& node_;
  RingQueue<Flight> flights_;  // marked, oldest first
  RingQueue<Ref<MessageData>> held_;
  Flight unmarked_;
  int in_flight_ = 0;  // activations of flights_
  std::atomic<bool> is_armed_{false};
  std::optional<Wake> wake_;
  order::PointWatch watch_;
  std::shared_ptr<RunState> keep_alive_;
};

}  // namespace penstock::runtime
