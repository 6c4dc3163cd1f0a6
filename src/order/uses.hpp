// The uses of a piece of memory that may not be over: its last writes and the reads since, as
// points. Normally one write and a read for each stream. Not thread-safe: its block locks.
#pragma once

#include "base/small_vector.hpp"
#include "order/point.hpp"
#include "order/slot.hpp"

namespace penstock::order {

using Points = SmallVector<Point, 4>;

class Uses {
 public:
  /// A read on the stream of that slot.
  void add_read(Point point);
  /// A write on the stream of that slot: what the stream is ordered behind needs no memory of its
  /// own any more.
  void add_write(Point point, const Slot& slot);
  /// Another library has it on the slot's stream: it may write there, which only Penstock's own
  /// reads wait for, not what else is lent meanwhile.
  void add_lent(Point point);
  /// What a reader (or a writer) has to wait for.
  void collect(bool for_write, Points& points) const;
  /// What another library has to wait for.
  void collect_to_lend(Points& points) const;
  /// Uses that go on end here: they get the mark that comes next.
  void close_open();
  /// The same for those on that slot.
  void close_open(const Slot& slot);

  [[nodiscard]] bool empty() const { return writes_.empty() && reads_.empty() && lent_.empty(); }
  /// Forgets what is complete; true if nothing is left.
  [[nodiscard]] bool prune();
  /// True if all of it is on that slot or covered by its clock.
  [[nodiscard]] bool covered_by(const Slot& slot) const;
  /// Marks the streams of uses that have no mark yet, so that they can become complete.
  void mark_all() const;
  /// The memory changes hands: all uses count as writes now.
  void merge_into_writes();
  void clear();

 private:
  Points writes_;
  Points reads_;
  Points lent_;
};

}  // namespace penstock::order
