#include "order/gate.hpp"

#include "order/reactor.hpp"
#include "order/stream.hpp"

namespace penstock::order {

void watch(Gate& gate, Point point, PointWatch& watch) {
  gate.hold();
  watch.gate = &gate;
  watch.fire = [](backend::Completion* completion) {
    static_cast<PointWatch*>(completion)->gate->drop();
  };
  if (is_complete(point)) {
    gate.drop();
    return;
  }
  const auto mark = mark_of(point);
  if (!mark) {
    gate.drop();
  } else if (!mark->backend().notify(mark->event(), watch)) {
    Reactor::instance().add(mark, watch);
  }
}

}  // namespace penstock::order
