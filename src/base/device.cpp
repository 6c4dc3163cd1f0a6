#include <penstock/device.hpp>

#include "base/throw.hpp"

#include <charconv>

namespace penstock {

Device Device::parse(std::string_view text) {
  if (text == "cpu" || text == "cpu:0") return cpu();
  if (text == "cuda") return cuda(0);
  constexpr std::string_view kPrefix = "cuda:";
  if (text.starts_with(kPrefix)) {
    const std::string_view digits = text.substr(kPrefix.size());
    std::int32_t index = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error == std::errc{} && end == digits.data() + digits.size() && index >= 0) {
      return cuda(index);
    }
  }
  throw_error<ArgumentTypeError>("device: \"{}\" is no device; use \"cpu\", \"cuda\" or \"cuda:N\"",
                                 text);
}

std::string Device::str() const { return is_cpu() ? "cpu" : fmt::format("cuda:{}", index); }

}  // namespace penstock
