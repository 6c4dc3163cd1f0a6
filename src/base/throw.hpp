// The one way to make an error: throw_error<TensorError>("resize: size {} …", size).
#pragma once

#include <penstock/error.hpp>

#include <fmt/format.h>

#include <utility>

namespace penstock {

template <class E, class... Args>
[[noreturn]] void throw_error(fmt::format_string<Args...> format, Args&&... args) {
  throw E(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace penstock
