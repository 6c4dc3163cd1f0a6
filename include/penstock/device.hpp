// Which device: the CPU or one GPU. A plain value.
#pragma once

#include <penstock/export.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock {

enum class DeviceKind : std::uint8_t { cpu, cuda };

/// The CPU, or the GPU of that index.
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  std::int32_t index = 0;

  [[nodiscard]] static constexpr Device cpu() { return {}; }
  [[nodiscard]] static constexpr Device cuda(std::int32_t index = 0) {
    return {DeviceKind::cuda, index};
  }
  /// Reads "cpu", "cuda" (index 0) or "cuda:1". Throws ArgumentTypeError for anything else.
  [[nodiscard]] PENSTOCK_API static Device parse(std::string_view text);

  [[nodiscard]] constexpr bool is_cpu() const { return kind == DeviceKind::cpu; }
  /// "cpu" or "cuda:0".
  [[nodiscard]] PENSTOCK_API std::string str() const;
  friend constexpr bool operator==(Device, Device) = default;
};

/// GPUs that can be used; 0 where there is no driver.
[[nodiscard]] PENSTOCK_API int device_count();

}  // namespace penstock
