// Where in the user's Python program a call comes from, for the checker. With the GIL.
#pragma once

#include "order/check.hpp"

#include <string>

namespace penstock::pybridge {

/// A tag for what the caller does, with file and line of the Python frame and its label.
[[nodiscard]] order::check::Tag place_tag(std::string what);

}  // namespace penstock::pybridge
