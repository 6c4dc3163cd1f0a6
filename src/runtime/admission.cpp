#include "runtime/admission.hpp"

#include "memory/cache.hpp"

namespace penstock::runtime {

bool Admission::enter(std::int64_t bytes) {
  if (bytes == 0) return true;
  const std::int64_t promised = promised_.fetch_add(bytes);
  const bool is_alone = running_.fetch_add(1) == 0;
  if (is_alone || memory::Cache::of(device_).has_room(promised + bytes)) return true;
  leave(bytes);
  return false;
}

void Admission::leave(std::int64_t bytes) {
  if (bytes == 0) return;
  promised_.fetch_sub(bytes);
  running_.fetch_sub(1);
}

}  // namespace penstock::runtime
