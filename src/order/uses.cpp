#include "order/uses.hpp"

#include "order/stream.hpp"

#include <algorithm>

namespace penstock::order {
namespace {

constexpr std::size_t kPruneAt = 4;

template <class Drop>
void remove_if(Points& points, Drop drop) {
  points.resize_down(static_cast<std::size_t>(std::remove_if(points.begin(), points.end(), drop) -
                                              points.begin()));
}

// One entry for each slot: the later mark stands for both.
void add(Points& points, Point point) {
  for (Point& known : points) {
    if (known.slot != point.slot) continue;
    known.mark = std::max(known.mark, point.mark);
    return;
  }
  if (points.size() >= kPruneAt) remove_if(points, is_complete);
  points.push_back(point);
}

}  // namespace

void Uses::add_read(Point point) { add(reads_, point); }
void Uses::add_lent(Point point) { add(lent_, point); }

void Uses::add_write(Point point, const Slot& slot) {
  const auto covered = [&](Point known) {
    return known.slot == point.slot ? known.mark <= point.mark
                                    : !known.is_open() && slot.covers(known);
  };
  remove_if(reads_, covered);
  remove_if(writes_, covered);
  remove_if(lent_, covered);
  add(writes_, point);
}

void Uses::collect(bool for_write, Points& points) const {
  for (const Point& point : writes_) points.push_back(point);
  for (const Point& point : lent_) points.push_back(point);
  if (!for_write) return;
  for (const Point& point : reads_) points.push_back(point);
}

void Uses::collect_to_lend(Points& points) const {
  for (const Point& point : writes_) points.push_back(point);
}

void Uses::close_open() {
  for (Points* points : {&writes_, &reads_, &lent_}) {
    for (Point& point : *points) {
      if (point.is_open()) point = Slot::at(point.slot).close(point.mark & ~kOpenBit);
    }
  }
}

void Uses::close_open(const Slot& slot) {
  for (Points* points : {&writes_, &reads_, &lent_}) {
    for (Point& point : *points) {
      if (point.is_open() && point.slot == slot.index()) {
        point = Slot::at(point.slot).close(point.mark & ~kOpenBit);
      }
    }
  }
}

bool Uses::prune() {
  remove_if(writes_, is_complete);
  remove_if(reads_, is_complete);
  remove_if(lent_, is_complete);
  return empty();
}

bool Uses::covered_by(const Slot& slot) const {
  const auto covered = [&](const Point& point) { return slot.covers(point); };
  return std::all_of(writes_.begin(), writes_.end(), covered) &&
         std::all_of(reads_.begin(), reads_.end(), covered) &&
         std::all_of(lent_.begin(), lent_.end(), covered);
}

void Uses::mark_all() const {
  for (const Points* points : {&writes_, &reads_, &lent_}) {
    for (const Point& point : *points) static_cast<void>(mark_of(point));
  }
}

void Uses::merge_into_writes() {
  for (const Point& point : reads_) add(writes_, point);
  for (const Point& point : lent_) add(writes_, point);
  reads_.clear();
  lent_.clear();
}

void Uses::clear() {
  writes_.clear();
  reads_.clear();
  lent_.clear();
}

}  // namespace penstock::order
