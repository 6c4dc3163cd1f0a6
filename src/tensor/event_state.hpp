// What an Event refers to.
#pragma once

#include <penstock/stream.hpp>

#include "order/stream.hpp"

namespace penstock {

struct Event::State {
  Ref<order::Mark> mark;  // empty: nothing was ever on the stream
  order::check::Position position;
};

}  // namespace penstock
