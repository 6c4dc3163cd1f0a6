// Boxes on images: against a drawing pixel by pixel, in place, on streams, in every memory layout.
#include <penstock/penstock.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "graph_fixture.hpp"
#include "kernels/cpu/boxes.hpp"
#include "kernels_test_image.hpp"
#include "operators/imaging.hpp"

using namespace penstock::kernels;
namespace ps = penstock;
using doctest::Contains;

namespace {

bool is_drawn(const PixelBox& box, std::int64_t thickness, std::int64_t x, std::int64_t y) {
  if (x < box.left || x >= box.right || y < box.top || y >= box.bottom) return false;
  if (thickness < 0) return true;
  return x < box.left + thickness || x >= box.right - thickness || y < box.top + thickness ||
         y >= box.bottom - thickness;
}

ps::Tensor tensor_of(std::vector<float> values, std::int64_t rows) {
  const ps::Tensor tensor = ps::Tensor::zeros({rows, 4}, ps::f32);
  std::memcpy(tensor.data(), values.data(), values.size() * sizeof(float));
  return tensor;
}

int at(const ps::Tensor& image, std::int64_t y, std::int64_t x, std::int64_t c = 0) {
  return static_cast<const std::uint8_t*>(
      image.data())[y * image.strides()[0] + x * image.strides()[1] + c];
}

}  // namespace

TEST_CASE("draw_boxes: any box, thickness and memory layout, in parts, to the pixel") {
  std::mt19937 random(1);
  const Form forms[] = {{}, {5, 0, false}, {0, 0, true}, {0, 1, false}, {7, 3, true}};
  for (int i = 0; i < 400; ++i) {
    const auto side = [&] { return std::int64_t(1 + random() % 30); };
    const std::int64_t width = side();
    const std::int64_t height = side();
    const std::int64_t channels = 1 + i % 4;
    std::vector<PixelBox> boxes(std::size_t(i % 4));
    const auto edge = [&](std::int64_t n) { return std::int64_t(random() % unsigned(3 * n)) - n; };
    for (PixelBox& box : boxes) box = {edge(width), edge(height), edge(width), edge(height)};
    BoxPen pen{{11, 22, 33, 44}, channels, 1 + std::int64_t(random() % 4)};
    if (i % 7 == 0) pen.thickness = -1;
    if (i % 11 == 0) pen.thickness = std::numeric_limits<std::int64_t>::max();
    TestImage image(width, height, channels, forms[i % 5]);
    const TestImage before = image;
    const auto cut = std::int64_t(random() % unsigned(height + 1));
    draw_boxes(image.mutable_plane(), boxes, pen, cut, height);
    CHECK(image.untouched_outside(cut, height));
    draw_boxes(image.mutable_plane(), boxes, pen, 0, cut);
    CHECK(image.untouched_outside(0, height));
    int wrong = 0;
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        bool drawn = false;
        for (const PixelBox& box : boxes) {
          const std::int64_t wide = pen.thickness > 1000 ? 1000 : pen.thickness;
          drawn = drawn || is_drawn(box, wide, x, y);
        }
        for (std::int64_t c = 0; c < channels; ++c) {
          wrong += image.at(x, y, c) != (drawn ? pen.pixel[std::size_t(c)] : before.at(x, y, c));
        }
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("draw_boxes: a new image, or in place; edges are rounded half to even") {
  const ps::Tensor src = ps::Tensor::zeros({8, 10, 3}, ps::u8, "HWC");
  const ps::Box box{1.5, 0.5, 4.5, 3.49};  // x 2 to 4, y 0 to 3
  const ps::Tensor drawn = ps::draw_boxes(src, std::span(&box, 1));
  CHECK(drawn.data() != src.data());
  CHECK(drawn.layout() == ps::Layout("HWC"));
  CHECK(at(src, 0, 2, 1) == 0);
  for (std::int64_t x = 0; x < 10; ++x) {
    for (std::int64_t y = 0; y < 8; ++y) {
      const bool inside = x >= 2 && x < 4 && y < 3;
      CHECK(at(drawn, y, x, 1) == (inside ? 255 : 0));
      CHECK(at(drawn, y, x, 0) == 0);
    }
  }
  const ps::Tensor same = ps::draw_boxes(src, std::span(&box, 1), {.out = src, .color = {7}});
  CHECK(same.data() == src.data());
  CHECK(at(src, 0, 2, 0) == 7);
  CHECK(at(src, 0, 2, 2) == 7);
}

TEST_CASE("draw_boxes: boxes that a stream still writes are read when they are there") {
  const ps::Tensor src = ps::Tensor::zeros({8, 10}, ps::u8);
  const ps::Tensor boxes = tensor_of({0, 0, 0, 0}, 1);
  const ps::Stream first(ps::Device::cpu());
  const ps::Stream second(ps::Device::cpu());
  static_cast<void>(first.launch(
      [boxes] {
        const float late[] = {2, 3, 5, 6};
        std::memcpy(boxes.data(), late, sizeof(late));
      },
      ps::writes(boxes)));
  const ps::Tensor drawn = ps::draw_boxes(src, boxes, {.stream = second, .color = {5}});
  drawn.sync();
  CHECK(at(drawn, 3, 2) == 5);
  CHECK(at(drawn, 0, 0) == 0);
}

TEST_CASE("draw_boxes: what it refuses, by name; out is left alone") {
  const ps::Tensor src = ps::Tensor::zeros({6, 8, 3}, ps::u8, "HWC");
  const ps::Tensor out = ps::Tensor::zeros({6, 8, 3}, ps::u8, "HWC");
  const ps::Tensor good = tensor_of({0, 0, 9, 9}, 1);
  const auto refused = [&](const ps::Tensor& image, const ps::Tensor& boxes,
                           ps::DrawBoxesOptions options, const char* text) {
    if (!options.out) options.out = out;
    CHECK_THROWS_WITH_AS(static_cast<void>(ps::draw_boxes(image, boxes, options)), Contains(text),
                         ps::TensorError);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  refused(src, tensor_of({0, 0, 9, 9, 1, 2, nan, 4}, 2), {}, "boxes[1] is (1, 2, nan, 4)");
  refused(src, ps::Tensor::zeros({2, 5}, ps::f32), {}, "boxes has shape (2, 5), expected (N, 4)");
  refused(src, ps::Tensor::zeros({4}, ps::f32), {}, "draw_boxes: boxes has shape (4,)");
  refused(src, ps::Tensor::zeros({1, 4}, ps::c64), {}, "draw_boxes: boxes has dtype complex64");
  refused(src, good, {.thickness = 0}, "draw_boxes: thickness is 0");
  refused(src, good, {.thickness = -2}, "draw_boxes: thickness is -2");
  refused(src, good, {.color = {1, 2}}, "color has 2 values, expected 1 or 3");
  refused(src, good, {.color = {1, nan, 3}}, "draw_boxes: color is NaN");
  refused(src.slice(1, 0, 7), good, {.out = src.slice(1, 1, 8)}, "out overlaps src");
  refused(ps::Tensor::zeros({1, 6, 8, 3}, ps::u8), good, {}, "one image");
  refused(src, good, {.out = src.as_readonly()}, "out is read-only");
  CHECK(at(out, 0, 0, 1) == 0);
  CHECK(ps::draw_boxes(src, ps::Tensor::zeros({0}, ps::f64), {.out = out}).data() == out.data());
}

TEST_CASE("draw_boxes in a graph: in place on a frame that nobody else has, else on a copy") {
  using ps::graph::MessageRef;
  const auto spec = ps::operators::draw_boxes({7}, -1);
  const auto body = spec.factory->make(0);
  const auto run = [&](MessageRef frame, MessageRef boxes) {
    ps::graph::Activation activation;
    activation.begin_port();
    activation.add(std::move(frame));
    activation.begin_port();
    activation.add(std::move(boxes));
    activation.end_ports();
    activation.add_lead(activation.port(0)[0].get());
    body->run(activation);
    CHECK(activation.outputs.size() == 1);
    return ps::Tensor(*activation.outputs.front().message->tensor());
  };
  const auto frame = [] { return ps::Tensor::zeros({4, 5, 3}, ps::u8, "HWC"); };
  const auto boxes = [] { return ps::graph::test::message(tensor_of({1, 1, 3, 3}, 1)); };

  ps::Tensor own = frame();
  const void* const memory = own.data();
  const ps::Tensor drawn = run(ps::graph::test::message(std::move(own)), boxes());
  CHECK(drawn.data() == memory);
  CHECK(at(drawn, 1, 1) == 7);

  const ps::Tensor held = frame();
  const ps::Tensor copied = run(ps::graph::test::message(held), boxes());
  CHECK(copied.data() != held.data());
  CHECK(at(held, 1, 1) == 0);
  CHECK(at(copied, 1, 1) == 7);

  const MessageRef shared = ps::graph::test::message(frame());
  CHECK(at(run(shared, boxes()), 1, 1) == 7);
  CHECK(at(*shared->tensor(), 1, 1) == 0);

  for (const MessageRef& none :
       {MessageRef(), ps::graph::test::message(ps::Tensor::zeros({0, 4}, ps::f64))}) {
    const ps::Tensor passed = run(ps::graph::test::message(held), none);
    CHECK(passed.data() == held.data());
    CHECK(at(passed, 1, 1) == 0);
  }
  CHECK_THROWS_WITH_AS(run(ps::graph::test::message(3), boxes()),
                       Contains("draw_boxes: src: a message that is no tensor"),
                       ps::ArgumentTypeError);
  CHECK_THROWS_WITH_AS(run(ps::graph::test::message(held), ps::graph::test::message(3)),
                       Contains("draw_boxes: boxes: a message that is no tensor"),
                       ps::ArgumentTypeError);
}
