// Several tensors as one value, and as a message's value.
#include <penstock/penstock.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace ps = penstock;
using doctest::Contains;

TEST_CASE("batches: images of any sizes, but of one dtype") {
  ps::ImageBatch batch;
  CHECK(batch.empty());
  batch.push(ps::Tensor::empty({4, 6, 3}, ps::u8, "HWC"));
  batch.push(ps::Tensor::empty({9, 2}, ps::u8));
  CHECK(batch.size() == 2);
  CHECK(batch[1].shape()[0] == 9);
  std::int64_t rows = 0;
  for (const ps::Tensor& image : batch) rows += image.shape()[0];
  CHECK(rows == 13);
  CHECK_THROWS_WITH_AS(batch.push(ps::Tensor::empty({2, 2}, ps::f32)), Contains("dtype float32"),
                       ps::TensorError);
  CHECK_THROWS_WITH_AS(batch.push(ps::Tensor::empty({1, 2, 2, 3}, ps::u8, "NHWC")),
                       Contains("is no image"), ps::TensorError);
  CHECK(batch.size() == 2);
  CHECK(batch.pop().shape()[0] == 9);
  batch.clear();
  CHECK_THROWS_AS(static_cast<void>(batch.pop()), ps::TensorError);
  CHECK_THROWS_AS(static_cast<void>(batch[0]), ps::TensorError);
}

TEST_CASE("batches: tensors of one kind, of any shapes") {
  ps::TensorBatch batch{ps::Tensor::empty({4, 6}, ps::f32), ps::Tensor::empty({1, 2}, ps::f32)};
  CHECK(batch.size() == 2);
  CHECK_THROWS_WITH_AS(batch.push(ps::Tensor::empty({4}, ps::f32)), Contains("rank 1"),
                       ps::TensorError);
  CHECK_THROWS_WITH_AS(batch.push(ps::Tensor::empty({4, 6}, ps::f32, "HW")),
                       Contains("layout \"HW\""), ps::TensorError);
}

TEST_CASE("batches: tensors by name, in the order in which they were added") {
  ps::TensorMap map{{"boxes", ps::Tensor::empty({4}, ps::f32)}};
  map.push("mask", ps::Tensor::empty({2}, ps::u8));
  map.push("boxes", ps::Tensor::empty({5}, ps::f32));  // replaced
  CHECK(map.size() == 2);
  CHECK(map["boxes"].size() == 5);
  std::string names;
  for (const auto& [name, tensor] : map) names += name + " ";
  CHECK(names == "boxes mask ");
  CHECK(map.find("none") == nullptr);
  CHECK_THROWS_WITH_AS(static_cast<void>(map["bokses"]),
                       "TensorMap: []: no tensor \"bokses\"; did you mean \"boxes\"?",
                       ps::TensorError);
  CHECK(map.pop("mask").size() == 2);
  CHECK_THROWS_AS(static_cast<void>(map.pop("mask")), ps::TensorError);
  const ps::TensorMap copy = map;
  CHECK(copy["boxes"].data() == map["boxes"].data());
  map.clear();
  CHECK(map.empty());
  CHECK(copy.size() == 1);
}

TEST_CASE("batches: in a message each tensor is waited for") {
  const auto slow = [](int value) {
    const ps::Stream stream = ps::Stream::current().value();
    ps::Tensor tensor = ps::Tensor::empty({1}, ps::u8, {}, stream);
    stream.launch(
        [tensor, value] {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          std::memset(tensor.data(), value, 1);
        },
        ps::writes(tensor));
    return tensor;
  };
  const auto first = [](const ps::Tensor& t) {
    return static_cast<int>(*static_cast<const std::uint8_t*>(t.data()));
  };
  std::vector<int> seen;
  const ps::PortNames host{.host = {"in"}};
  const auto once = [](auto make) { return ps::source(make, {.count = 1}); };
  static_cast<void>(
      ps::run(once([&] { return ps::TensorMap{{"a", slow(3)}}; }) >>
              ps::op([&](const ps::TensorMap& m) { seen.push_back(first(m["a"])); }, {}, host)));
  static_cast<void>(
      ps::run(once([&] { return ps::TensorBatch{slow(4), slow(5)}; }) >>
              ps::op([&](const ps::TensorBatch& b) { seen.push_back(first(b[1])); }, {}, host)));
  static_cast<void>(ps::run(
      once([&] { return ps::TensorBatch{slow(6)}; }) >>
      [](const ps::TensorBatch& b) { return std::vector<ps::Tensor>(b.begin(), b.end()); } >>
      ps::op([&](const std::vector<ps::Tensor>& v) { seen.push_back(first(v[0])); }, {}, host)));
  CHECK(seen == std::vector<int>{3, 5, 6});
}
