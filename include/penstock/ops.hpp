// Imaging operations. Each makes its result for the given stream, or for the current one, or,
// without either, before it returns; `src` is waited for. A result never shows half-written memory.
#pragma once

#include <penstock/export.hpp>
#include <penstock/stream.hpp>
#include <penstock/tensor.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace penstock {

/// Rows and columns of an image.
struct Size {
  std::int64_t height = 0;
  std::int64_t width = 0;
};

struct ResizeOptions {
  /// Where to work; the current stream if empty.
  std::optional<Stream> stream = std::nullopt;
  /// Where to write; a new tensor if empty.
  std::optional<Tensor> out = std::nullopt;
  /// "linear": half-pixel centres, edges repeated.
  std::string_view interp = "linear";
};

/// Resizes a u8 image (H, W), (H, W, C) or batch (N, H, W, C), 1 to 4 channels, rows of any pitch.
/// Within half a step + 2 % of the exact value, ties to even. TensorError names what does not fit.
[[nodiscard]] PENSTOCK_API Tensor resize(const Tensor& src, Size size,
                                         const ResizeOptions& options = {});

struct CvtColorOptions {
  std::optional<Stream> stream = std::nullopt;
  std::optional<Tensor> out = std::nullopt;
  /// "bt601", "bt709" or "bt2020".
  std::string_view matrix = "bt601";
  /// "limited" (16 to 235) or "full".
  std::string_view range = "limited";
};

/// Converts u8 "I420" or "NV12" to "RGB" or "BGR", (H, W, 3). `src` is one tensor of (3H/2, W) or
/// (3H/2, W, 1); H and W are even.
[[nodiscard]] PENSTOCK_API Tensor cvt_color(const Tensor& src, std::string_view src_format,
                                            std::string_view dst_format,
                                            const CvtColorOptions& options = {});
/// The same from planes, each with rows of its own pitch: (Y, U, V) or (Y, UV).
[[nodiscard]] PENSTOCK_API Tensor cvt_color(std::span<const Tensor> planes,
                                            std::string_view src_format,
                                            std::string_view dst_format,
                                            const CvtColorOptions& options = {});

}  // namespace penstock
