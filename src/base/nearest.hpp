// The nearest right name for an unknown one, for error messages.
#pragma once

#include <span>
#include <string_view>

namespace penstock {

/// The candidate with the smallest edit distance to `name`; empty when there are no candidates.
[[nodiscard]] std::string_view nearest(std::string_view name,
                                       std::span<const std::string_view> candidates);

}  // namespace penstock
