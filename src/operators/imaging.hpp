// The imaging operations as operators: tensors in, tensors out, computed by the worker that runs
// them. A message may be a tensor or, where a function takes planes, a tuple of them.
#pragma once

#include "graph/graph.hpp"

#include <penstock/ops.hpp>

#include <optional>
#include <string>
#include <vector>

namespace penstock::operators {

[[nodiscard]] graph::NodeSpec resize(Size size, std::string interp, OperatorOptions options = {});

/// Without `matrix` or `range` those in the message's metadata count, then BT.601, limited. An
/// empty `src_format` is the metadata's "format"; what is `dst_format` already goes on as it is.
[[nodiscard]] graph::NodeSpec cvt_color(std::string src_format, std::string dst_format,
                                        std::optional<std::string> matrix,
                                        std::optional<std::string> range,
                                        OperatorOptions options = {});

/// The words of WarpAffineOptions, owned.
struct WarpWords {
  std::optional<Size> size;
  std::string interp = "linear";
  std::string border_mode = "constant";
  std::vector<double> border_value;
  bool inverse = false;
};
/// TensorError for words that don't fit.
[[nodiscard]] graph::NodeSpec warp_affine(const AffineMatrix& xform, const WarpWords& words,
                                          OperatorOptions options = {});

/// "src", "boxes" (optional; a tensor (N, 4)) -> "out"; with `boxes` "src" -> "out". A frame for
/// which no boxes come goes on as it is, and one that nobody else has is drawn on in place.
[[nodiscard]] graph::NodeSpec draw_boxes(std::vector<double> color, std::int64_t thickness,
                                         std::optional<std::vector<Box>> boxes = std::nullopt,
                                         OperatorOptions options = {});

}  // namespace penstock::operators
