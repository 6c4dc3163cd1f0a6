#include "kernels/boxes.hpp"

#include "base/throw.hpp"
#include "tensor/tensor_data.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace penstock::kernels {
namespace {

// Farther out than any image, and far from where numbers of pixels would overflow.
constexpr double kFarthest = 2147483647.0;

std::int64_t whole(double edge) {
  return static_cast<std::int64_t>(std::nearbyint(std::clamp(edge, -kFarthest, kFarthest)));
}

PixelBox pixel_box(const Box& box, std::int64_t index) {
  if (std::isnan(box.x1) || std::isnan(box.y1) || std::isnan(box.x2) || std::isnan(box.y2)) {
    throw_error<TensorError>("draw_boxes: boxes[{}] is ({}, {}, {}, {}), expected no NaN", index,
                             box.x1, box.y1, box.x2, box.y2);
  }
  return {whole(box.x1), whole(box.y1), whole(box.x2), whole(box.y2)};
}

template <class T>
double value_at(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return static_cast<double>(value);
}

using Reader = double (*)(const std::uint8_t*);

Reader reader_of(Dtype dtype) {
  constexpr std::array<std::pair<Dtype, Reader>, 10> readers{{{f32, value_at<float>},
                                                              {f64, value_at<double>},
                                                              {i32, value_at<std::int32_t>},
                                                              {i64, value_at<std::int64_t>},
                                                              {i16, value_at<std::int16_t>},
                                                              {i8, value_at<std::int8_t>},
                                                              {u8, value_at<std::uint8_t>},
                                                              {u16, value_at<std::uint16_t>},
                                                              {u32, value_at<std::uint32_t>},
                                                              {u64, value_at<std::uint64_t>}}};
  for (const auto& [known, reader] : readers) {
    if (known == dtype) return reader;
  }
  return nullptr;
}

}  // namespace

std::vector<PixelBox> pixel_boxes(std::span<const Box> boxes) {
  std::vector<PixelBox> all;
  all.reserve(boxes.size());
  for (const Box& box : boxes) all.push_back(pixel_box(box, std::ssize(all)));
  return all;
}

void check_boxes(const Tensor& boxes) {
  if (!boxes.device().is_cpu()) {
    throw_error<DeviceError>("draw_boxes: boxes is on {}, expected the CPU", boxes.device().str());
  }
  if (reader_of(boxes.dtype()) == nullptr) {
    throw_error<TensorError>(
        "draw_boxes: boxes has dtype {}, expected integers, float32 or float64",
        boxes.dtype().name());
  }
  if (boxes.size() == 0) return;
  const auto shape = boxes.shape();
  if (shape.size() == 2 && shape[1] == 4) return;
  throw_error<TensorError>("draw_boxes: boxes has shape {}, expected (N, 4): x1, y1, x2, y2{}",
                           describe_shape(shape),
                           shape.size() == 2 && shape[1] > 4 ? "; use boxes[:, :4]" : "");
}

std::vector<PixelBox> read_boxes(const Tensor& boxes) {
  std::vector<PixelBox> all;
  if (boxes.size() == 0) return all;
  const Reader read = reader_of(boxes.dtype());
  const auto* first = static_cast<const std::uint8_t*>(boxes.data());
  const std::int64_t row = boxes.strides()[0];
  const std::int64_t column = boxes.strides()[1];
  for (std::int64_t i = 0; i < boxes.shape()[0]; ++i) {
    const std::uint8_t* at = first + i * row;
    all.push_back(
        pixel_box({read(at), read(at + column), read(at + 2 * column), read(at + 3 * column)}, i));
  }
  return all;
}

}  // namespace penstock::kernels
