#include "base/throw.hpp"
#include "operators/at_once.hpp"
#include "operators/imaging.hpp"
#include "operators/operators.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace penstock::operators {
namespace {

struct Settings {
  std::vector<double> color;
  std::int64_t thickness;
  /// For every frame, where no boxes come.
  std::optional<std::vector<Box>> boxes;

  [[nodiscard]] DrawBoxesOptions options() const {
    return {.color = color, .thickness = thickness};
  }
};

class DrawBody final : public graph::Body {
 public:
  explicit DrawBody(std::shared_ptr<const Settings> settings) : settings_(std::move(settings)) {}

  void run(graph::Activation& activation) override {
    for (std::size_t i = 0; i < activation.items(); ++i) {
      const MessageRef& frame = activation.port(0)[i];
      if (frame->tensor() == nullptr) {
        throw_error<ArgumentTypeError>(
            "draw_boxes: src: a message that is no tensor came; expected an image");
      }
      if (settings_->boxes) {
        draw(activation, frame, std::span(*settings_->boxes), i);
      } else {
        draw_message(activation, frame, activation.port(1)[i], i);
      }
    }
  }

 private:
  void draw_message(graph::Activation& activation, const MessageRef& frame, const MessageRef& boxes,
                    std::size_t item) {
    if (!boxes) {
      pass(activation, frame, item);
      return;
    }
    const Tensor* found = boxes->tensor();
    if (found == nullptr) {
      throw_error<ArgumentTypeError>(
          "draw_boxes: boxes: a message that is no tensor came; expected (N, 4)");
    }
    draw(activation, frame, *found, item);
  }

  // As a tensor, like those that are drawn on.
  static void pass(graph::Activation& activation, const MessageRef& frame, std::size_t item) {
    emit(activation, Tensor(*frame->tensor()), item);
  }
  static void emit(graph::Activation& activation, Tensor image, std::size_t item) {
    activation.emit(0, MessageRef::adopt(Message::of(std::move(image)).leak()), item);
  }

  // A frame that nobody else has is drawn on where it lies.
  template <class Boxes>
  void draw(graph::Activation& activation, const MessageRef& frame, const Boxes& boxes,
            std::size_t item) {
    if (boxes.size() == 0) {
      pass(activation, frame, item);
      return;
    }
    const Tensor& src = *frame->tensor();
    const AtOnce scope(src.device());
    DrawBoxesOptions options = settings_->options();
    if (frame->is_alone() && may_write(*frame)) options.out = src;
    emit(activation, draw_boxes(src, boxes, options), item);
  }

  const std::shared_ptr<const Settings> settings_;
};

}  // namespace

graph::NodeSpec draw_boxes(std::vector<double> color, std::int64_t thickness,
                           std::optional<std::vector<Box>> boxes, OperatorOptions options) {
  auto settings =
      std::make_shared<Settings>(Settings{std::move(color), thickness, std::move(boxes)});
  // What is wrong with them is said before the run.
  const std::int64_t channels = std::clamp<std::int64_t>(std::ssize(settings->color), 1, 4);
  const std::vector<Box> none;
  const std::span<const Box> given(settings->boxes ? *settings->boxes : none);
  static_cast<void>(penstock::draw_boxes(Tensor::empty({0, 1, channels}, f32, "HWC"), given,
                                         settings->options()));
  graph::NodeSpec spec;
  spec.kind = "draw_boxes";
  spec.options = std::move(options);
  spec.inputs.push_back(port("src"));
  if (!settings->boxes) {
    spec.inputs.push_back(port("boxes"));
    spec.inputs.back().is_optional = true;
  }
  spec.outputs.push_back(port("out"));
  spec.outputs.front().type = "Tensor";
  spec.factory =
      std::make_shared<BodyMaker>([settings] { return std::make_unique<DrawBody>(settings); });
  return spec;
}

}  // namespace penstock::operators
