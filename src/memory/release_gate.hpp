// Releases a block when the last of its uses is complete, with no further call by anybody.
#pragma once

#include "memory/block.hpp"

namespace penstock::memory {

void release_when_complete(Block& block);

}  // namespace penstock::memory
