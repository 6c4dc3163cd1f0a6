// A loop over rows, shared between the calling thread and idle workers of its pool.
// Safe from anywhere: the caller takes part, so it never waits for a worker that has not begun.
// The function and the context must live until the call returns, no longer.
#pragma once

#include <cstdint>
#include <type_traits>

namespace penstock::exec {

using RangeFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);

/// Calls `function(context, from, to)` on pieces of at least `grain` that cover [begin, end), on
/// this thread and on idle workers, and returns when all are done. The first exception is rethrown
/// here; pieces that had not begun by then are left out. Where no worker is idle, and in a forked
/// child, it is one call.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, RangeFunction function,
                  void* context);

/// The same for a callable `body(from, to)`.
template <class Body>
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  parallel_for(
      begin, end, grain,
      [](void* context, std::int64_t from, std::int64_t to) {
        (*static_cast<Plain*>(context))(from, to);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace penstock::exec
