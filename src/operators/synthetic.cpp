#include "base/throw.hpp"
#include "operators/operators.hpp"

#include <cstdint>
#include <memory>
#include <utility>

namespace penstock::operators {
namespace {

constexpr double kDefaultFps = 30;

void draw(const Tensor& frame, std::uint64_t number) {
  const std::int64_t height = frame.shape()[0];
  const std::int64_t width = frame.shape()[1];
  auto* pixel = static_cast<std::uint8_t*>(frame.data());
  const auto n = static_cast<std::int64_t>(number % 256);
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x, pixel += 3) {
      pixel[0] = static_cast<std::uint8_t>(x + 4 * n);
      pixel[1] = static_cast<std::uint8_t>(y + 2 * n);
      pixel[2] = static_cast<std::uint8_t>(x ^ y);
    }
  }
}

class SyntheticBody final : public graph::Body {
 public:
  SyntheticBody(Shape shape, double fps) : shape_(std::move(shape)), frame_ns_(1e9 / fps) {}

  void start(graph::Instance& instance) override {
    // A GPU's would start the GPU.
    if (!instance.device().is_cpu()) return;
    stream_.emplace(Ref<order::Stream>::share(&instance.stream()).leak());
  }

  void run(graph::Activation& activation) override {
    const std::uint64_t number = activation.origin.number;
    Message message = Message::of(make(number));
    message.set_time_ns(static_cast<std::int64_t>(static_cast<double>(number) * frame_ns_));
    activation.emit(0, MessageRef::adopt(message.leak()));
  }

 private:
  [[nodiscard]] Tensor make(std::uint64_t number) const {
    // In host memory, as frames of files are.
    if (!stream_) {
      Tensor frame = Tensor::empty(shape_, u8, "HWC", Device::cpu());
      draw(frame, number);
      return frame;
    }
    Tensor frame = Tensor::empty(shape_, u8, "HWC", *stream_);
    stream_->launch([frame, number] { draw(frame, number); }, writes(frame));
    return frame;
  }

  const Shape shape_;
  const double frame_ns_;
  std::optional<Stream> stream_;
};

}  // namespace

graph::NodeSpec synthetic(std::int64_t height, std::int64_t width, double fps,
                          OperatorOptions options) {
  if (height < 1 || width < 1) {
    throw_error<GraphError>("synthetic: a frame of {} x {} pixels; give at least 1 x 1", width,
                            height);
  }
  if (fps < 0) throw_error<GraphError>("synthetic: fps={} does not fit: at least 0", fps);
  graph::NodeSpec spec;
  spec.kind = "synthetic";
  if (fps > 0) options.every_ms = 1000 / fps;
  spec.options = std::move(options);
  spec.outputs.push_back(port("out"));
  spec.outputs.front().type = "Tensor";
  const double shown_fps = fps > 0 ? fps : kDefaultFps;
  spec.factory = std::make_shared<BodyMaker>([shape = Shape{height, width, 3}, shown_fps] {
    return std::make_unique<SyntheticBody>(shape, shown_fps);
  });
  return spec;
}

}  // namespace penstock::operators
