#include "trace/counter.hpp"

#include <mutex>

namespace penstock::trace {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<const Counter*> counters;
};

Registry& registry() {
  static auto* entries = new Registry;
  return *entries;
}

}  // namespace

Counter::Counter(std::string_view name) : name_(name) {
  const std::lock_guard guard(registry().mutex);
  registry().counters.push_back(this);
}

std::int64_t Counter::value() const {
  std::int64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.value.load(std::memory_order_relaxed);
  return sum;
}

std::vector<const Counter*> counters() {
  const std::lock_guard guard(registry().mutex);
  return registry().counters;
}

}  // namespace penstock::trace
