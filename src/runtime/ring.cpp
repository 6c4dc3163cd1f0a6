#include "runtime/ring.hpp"

#include <bit>

namespace penstock::runtime {

Ring::Ring(std::uint32_t capacity, bool drops)
    : capacity_(capacity),
      mask_(std::bit_ceil(capacity) - 1),
      drops_(drops),
      slots_(new std::atomic<MessageData*>[mask_ + 1]) {}

Ring::~Ring() {
  while (MessageData* message = pop()) message->release();
}

}  // namespace penstock::runtime
