// Arrays of PyTorch's and CuPy's on other GPUs than the operator's own: what it does with them is
// on the streams that are current there, not on its own. One for each call of an operator; with the
// GIL. Costs nothing where there is one GPU.
#pragma once

#include "base/small_vector.hpp"
#include "graph/message_data.hpp"
#include "order/stream.hpp"
#include "pybridge/python.hpp"

namespace penstock::pybridge {

class Elsewhere {
 public:
  explicit Elsewhere(Device own);
  /// The arrays of a message, those in tuples, lists and dicts too.
  void add(const MessageData& message);
  [[nodiscard]] bool is_empty() const { return devices_.empty(); }

  /// The streams that are current there wait for the operator's.
  void lead(order::Stream& own) const;
  /// And the operator's for them.
  void follow(order::Stream& own) const;

 private:
  void add(nb::handle value, int depth);

  const int own_;
  const bool is_needed_;
  SmallVector<int, 8> devices_;
};

}  // namespace penstock::pybridge
