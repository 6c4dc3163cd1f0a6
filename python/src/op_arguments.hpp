// What the bindings of the imaging operations share. With the GIL.
#pragma once

#include "arguments.hpp"
#include "pybridge/py_tensor.hpp"

#include <penstock/ops.hpp>

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace penstock::pybridge {

/// The arguments that all operations have. What they hold is let go with the GIL.
class OpArguments {
 public:
  OpArguments(const char* op, nb::handle out, nb::handle stream);

  [[nodiscard]] const std::optional<Stream>& stream() const { return stream_; }
  [[nodiscard]] std::optional<Tensor> out() const {
    return target_ ? std::optional(target_->get()) : std::nullopt;
  }
  /// What is to be done in this thread waits here, where Ctrl-C ends it.
  void wait(const Tensor& source) const;
  /// `out` itself, where it is a tensor of ours.
  [[nodiscard]] nb::object result(Tensor made) const;

 private:
  const char* op_;
  nb::handle out_;
  std::optional<Stream> stream_;
  std::optional<PyTensor> target_;
};

/// (height, width) of a tuple or a list.
[[nodiscard]] Size size_from(nb::handle object, const char* op);
/// A number, or several of a sequence or an array. `what` names it in messages.
[[nodiscard]] std::vector<double> numbers_from(nb::handle object, const char* what);
/// Two rows of three numbers, of sequences or an array.
[[nodiscard]] AffineMatrix matrix_from(nb::handle object, const char* what);
/// Boxes of a list or tuple (None: no boxes), or the tensor that an array is.
[[nodiscard]] std::variant<std::vector<Box>, Tensor> boxes_from(nb::handle object);

}  // namespace penstock::pybridge
