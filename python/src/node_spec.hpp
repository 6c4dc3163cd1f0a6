// A C++ operator that Python puts into a graph. Plain value.
#pragma once

#include "graph/graph.hpp"

namespace penstock::pybridge {

struct PyNodeSpec {
  graph::NodeSpec spec;
};

}  // namespace penstock::pybridge
