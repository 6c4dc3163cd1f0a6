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
  Ref<Mark> mark;
  try {
    if (!is_complete(point)) mark = mark_of(point);
    if (mark && mark->backend().notify(mark->event(), watch)) return;
  } catch (const DeviceError&) {
    mark = {};  // lost: with it everything is over
  }
  if (mark) {
    Reactor::instance().add(mark, watch);
  } else {
    gate.drop();
  }
}

}  // namespace penstock::order
