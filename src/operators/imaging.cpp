#include "operators/imaging.hpp"

#include "base/throw.hpp"
#include "operators/at_once.hpp"
#include "operators/operators.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace penstock::operators {
namespace {

using Operation = std::function<Tensor(std::span<const Tensor>, const MessageData&)>;

class ImageBody final : public graph::Body {
 public:
  ImageBody(std::string name, Operation operation)
      : name_(std::move(name)), operation_(std::move(operation)) {}

  void run(graph::Activation& activation) override {
    for (std::size_t i = 0; i < activation.items(); ++i) {
      const MessageData& message = *activation.port(0)[i];
      planes_.clear();
      message.for_each_tensor([&](const Tensor& tensor) { planes_.push_back(tensor); });
      if (planes_.empty()) {
        throw_error<ArgumentTypeError>("{}: a message that is no tensor came; expected an image",
                                       name_);
      }
      const AtOnce scope(planes_.front().device());
      activation.emit(0, MessageRef::adopt(Message::of(operation_(planes_, message)).leak()), i);
    }
    planes_.clear();
  }

 private:
  const std::string name_;
  const Operation operation_;
  std::vector<Tensor> planes_;
};

graph::NodeSpec image_node(const std::string& kind, Operation operation, OperatorOptions options) {
  graph::NodeSpec spec;
  spec.kind = kind;
  spec.options = std::move(options);
  spec.inputs.push_back(port("in"));
  spec.outputs.push_back(port("out"));
  spec.outputs.front().type = "Tensor";
  spec.factory = std::make_shared<BodyMaker>([kind, operation = std::move(operation)] {
    return std::make_unique<ImageBody>(kind, operation);
  });
  return spec;
}

// A word, or what the message says of itself, or the default.
std::string word(const std::optional<std::string>& given, const MessageData& message,
                 const char* name, const char* otherwise) {
  if (given) return *given;
  if (message.metadata == nullptr) return otherwise;
  const auto found = message.metadata->find(name);
  if (found == message.metadata->end()) return otherwise;
  const auto* text = std::get_if<std::string>(&found->second);
  return text == nullptr ? otherwise : *text;
}

// The one image of a message.
const Tensor& only(const char* op, std::span<const Tensor> images) {
  if (images.size() != 1) {
    throw_error<ArgumentTypeError>("{}: a message of {} tensors came; expected one image", op,
                                   images.size());
  }
  return images.front();
}

}  // namespace

graph::NodeSpec resize(Size size, std::string interp, OperatorOptions options) {
  const auto operation = [size, interp = std::move(interp)](std::span<const Tensor> images,
                                                            const MessageData&) {
    ResizeOptions words;
    words.interp = interp;
    return penstock::resize(only("resize", images), size, words);
  };
  return image_node("resize", operation, std::move(options));
}

graph::NodeSpec cvt_color(std::string src_format, std::string dst_format,
                          std::optional<std::string> matrix, std::optional<std::string> range,
                          OperatorOptions options) {
  const auto operation = [=](std::span<const Tensor> planes, const MessageData& message) {
    const std::string format =
        src_format.empty() ? word({}, message, "format", dst_format.c_str()) : src_format;
    if (format == dst_format && planes.size() == 1) return planes.front();
    const std::string own_matrix = word(matrix, message, "matrix", "bt601");
    const std::string own_range = word(range, message, "range", "limited");
    CvtColorOptions words;
    words.matrix = own_matrix;
    words.range = own_range;
    return planes.size() == 1 ? penstock::cvt_color(planes.front(), format, dst_format, words)
                              : penstock::cvt_color(planes, format, dst_format, words);
  };
  return image_node("cvt_color", operation, std::move(options));
}

graph::NodeSpec warp_affine(const AffineMatrix& xform, const WarpWords& words,
                            OperatorOptions options) {
  const auto call = [xform, words](const Tensor& image) {
    WarpAffineOptions said;
    said.size = words.size;
    said.interp = words.interp;
    said.border_mode = words.border_mode;
    said.border_value = words.border_value;
    said.inverse = words.inverse;
    return penstock::warp_affine(image, xform, said);
  };
  // What is wrong with the words is said before the run.
  const std::int64_t channels = std::clamp<std::int64_t>(std::ssize(words.border_value), 1, 4);
  static_cast<void>(call(Tensor::empty({0, 1, 1, channels}, f32, "NHWC")));
  const auto operation = [call](std::span<const Tensor> images, const MessageData&) {
    return call(only("warp_affine", images));
  };
  return image_node("warp_affine", operation, std::move(options));
}

}  // namespace penstock::operators
