#include "kernels/values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace penstock::kernels {

PixelBytes pixel_of(const char* op, const char* name, std::span<const double> values, Dtype dtype) {
  PixelBytes bytes{};
  for (std::size_t c = 0; c < values.size(); ++c) {
    if (dtype == f32) {
      const auto value = static_cast<float>(values[c]);
      std::memcpy(bytes.data() + c * sizeof(value), &value, sizeof(value));
      continue;
    }
    if (std::isnan(values[c])) throw_error<TensorError>("{}: {} is NaN", op, name);
    bytes[c] = static_cast<std::uint8_t>(std::nearbyint(std::clamp(values[c], 0.0, 255.0)));
  }
  return bytes;
}

}  // namespace penstock::kernels
