#include "pybridge/registry.hpp"

namespace penstock::pybridge {

Registry& registry() {
  static auto* entries = new Registry;
  return *entries;
}

}  // namespace penstock::pybridge
