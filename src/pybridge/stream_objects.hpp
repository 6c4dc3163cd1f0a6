// Streams between C++ and Python. With the GIL.
#pragma once

#include <penstock/stream.hpp>

#include "pybridge/python.hpp"

#include <optional>

namespace penstock::pybridge {

/// A penstock.Stream; StreamError for something else. None gives nothing.
[[nodiscard]] std::optional<Stream> stream_from(nb::handle object);
/// The Stream object for a stream.
[[nodiscard]] nb::object stream_object(const Stream& stream);

}  // namespace penstock::pybridge
