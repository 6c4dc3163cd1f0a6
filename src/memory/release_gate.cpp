#include "memory/release_gate.hpp"

#include "order/gate.hpp"

#include <memory>

namespace penstock::memory {

class ReleaseGate : public order::Gate {
 public:
  ReleaseGate(Block& block, std::size_t points)
      : Gate([](Gate* gate) {
          const std::unique_ptr<ReleaseGate> self(static_cast<ReleaseGate*>(gate));
          self->block_.release_memory();
        }),
        block_(block),
        watches_(std::make_unique<order::PointWatch[]>(points)) {}

  static void start(Block& block) {
    order::Points points;
    block.collect(true, points);
    auto* gate = new ReleaseGate(block, points.size());
    for (std::size_t i = 0; i < points.size(); ++i) {
      order::watch(*gate, points[i], gate->watches_[i]);
    }
    gate->drop();
  }

 private:
  Block& block_;
  std::unique_ptr<order::PointWatch[]> watches_;
};

void release_when_complete(Block& block) { ReleaseGate::start(block); }

}  // namespace penstock::memory
