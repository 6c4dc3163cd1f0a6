// Imaging operations. Each makes its result for the given stream, or for the current one, or,
// without either, before it returns; `src` is waited for. A result never shows half-written memory.
#pragma once

#include <penstock/export.hpp>
#include <penstock/stream.hpp>
#include <penstock/tensor.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

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

/// Converts u8 "I420" or "NV12", one tensor of (3H/2, W) or (3H/2, W, 1), to "RGB" or "BGR",
/// (H, W, 3), or back; H and W are even. A sample of colour is that of all its 2x2 pixels, and back
/// their mean. Within half a step + 2 % of the exact value.
[[nodiscard]] PENSTOCK_API Tensor cvt_color(const Tensor& src, std::string_view src_format,
                                            std::string_view dst_format,
                                            const CvtColorOptions& options = {});
/// The same from planes, each with rows of its own pitch: (Y, U, V), (Y, UV) or (RGB).
[[nodiscard]] PENSTOCK_API Tensor cvt_color(std::span<const Tensor> planes,
                                            std::string_view src_format,
                                            std::string_view dst_format,
                                            const CvtColorOptions& options = {});

/// The rows of a 2x3 matrix: (x, y) goes to (m[0]·x + m[1]·y + m[2], m[3]·x + m[4]·y + m[5]).
using AffineMatrix = std::array<double, 6>;

struct WarpAffineOptions {
  std::optional<Stream> stream = std::nullopt;
  std::optional<Tensor> out = std::nullopt;
  /// Of the result; that of `src` if empty.
  std::optional<Size> size = std::nullopt;
  /// "linear" or "nearest" (the pixel at floor(x + 1/2), floor(y + 1/2)).
  std::string_view interp = "linear";
  /// What lies around `src`: "constant", "replicate", "reflect" (cba|abc|cba), "reflect_101"
  /// (cb|abc|ba) or "wrap" (abc|abc|abc).
  std::string_view border_mode = "constant";
  /// Of "constant": one value for all channels or one for each; empty: 0.
  std::vector<double> border_value = {};
  /// The matrix maps positions in the result to positions in `src`, and is used as it is.
  bool inverse = false;
};

/// Moves the pixels of a u8 or f32 image (H, W), (H, W, C) or batch (N, H, W, C), 1 to 4 channels,
/// rows of any pitch: what is at (x, y) goes to xform·(x, y, 1). Pixel centres are whole numbers.
/// u8 within half a step + 2 % of the exact value, ties to even. TensorError names what does not
/// fit; a matrix with NaN or whose condition number exceeds 1e12 is refused.
[[nodiscard]] PENSTOCK_API Tensor warp_affine(const Tensor& src, const AffineMatrix& xform,
                                              const WarpAffineOptions& options = {});

/// A rectangle of pixels x1 <= x < x2, y1 <= y < y2; edges are rounded to whole numbers, ties to
/// even. One with x2 <= x1 or y2 <= y1 is empty.
struct Box {
  double x1 = 0;
  double y1 = 0;
  double x2 = 0;
  double y2 = 0;
};

struct DrawBoxesOptions {
  std::optional<Stream> stream = std::nullopt;
  /// A new tensor if empty; may be `src` itself.
  std::optional<Tensor> out = std::nullopt;
  /// One value for each channel, or one for all. Three also do for gray (their luma) and for u8 of
  /// four channels (opaque).
  std::vector<double> color = {0, 255, 0};
  /// Pixels, from the box's edge inwards; -1 fills the box.
  std::int64_t thickness = 1;
};

/// `src`, a u8 or f32 image (H, W) or (H, W, C) with 1 to 4 channels, with boxes drawn on it, later
/// ones over earlier ones. What lies outside the image is not drawn. TensorError names what does
/// not fit, NaN too.
[[nodiscard]] PENSTOCK_API Tensor draw_boxes(const Tensor& src, std::span<const Box> boxes,
                                             const DrawBoxesOptions& options = {});
/// The same with boxes as a tensor (N, 4) of integers, f32 or f64. If work on it is pending, it is
/// read when that is done, and what is wrong with its values comes out of the stream.
[[nodiscard]] PENSTOCK_API Tensor draw_boxes(const Tensor& src, const Tensor& boxes,
                                             const DrawBoxesOptions& options = {});

}  // namespace penstock
