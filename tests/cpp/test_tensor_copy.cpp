// Reshapes and copies against an oracle that walks every index.
#include "tensor_fixture.hpp"

#include <thread>

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr std::int64_t kHuge = std::int64_t{1} << 40;

// The strides, if there are any, with which the addresses come in this shape: those of single steps
// decide, and all the others have to agree.
bool has_strides(const std::vector<std::byte*>& addresses, const Shape& shape) {
  Shape step(shape.size(), 0);
  std::size_t inner = 1;
  for (std::size_t dim = shape.size(); dim-- > 0;) {
    if (shape[dim] > 1) step[dim] = addresses[inner] - addresses[0];
    inner *= static_cast<std::size_t>(shape[dim]);
  }
  bool fits = true;
  std::size_t at = 0;
  for_each_index(shape, [&](const Shape& index) {
    const std::int64_t offset =
        std::inner_product(index.begin(), index.end(), step.begin(), std::int64_t{0});
    fits = fits && addresses[at++] == addresses[0] + offset;
  });
  return fits;
}

// Some way to write a number as a product, with ones in it.
Shape random_factors(Random& random, std::int64_t product) {
  Shape shape;
  while (product > 1) {
    std::int64_t factor =
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(product))) + 1;
    while (product % factor != 0) ++factor;
    shape.push_back(factor);
    product /= factor;
  }
  while (shape.size() < 14 && random.below(3) == 0) {
    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(random.below(shape.size() + 1)), 1);
  }
  return shape;
}

}  // namespace

TEST_CASE(
    "reshape: the same elements in order where strides can say it, an error where they can't") {
  Random random(5);
  std::vector<std::byte> buffer(1 << 16);
  int accepted = 0, refused = 0;
  for (int i = 0; i < scaled(6000); ++i) {
    const Tensor tensor = random_tensor(random, buffer, kDtypes[random.below(kDtypes.size())]);
    if (tensor.size() == 0) continue;
    const Shape shape = random_factors(random, tensor.size());
    const auto expected = elements(tensor);
    Shape asked = shape;
    if (!asked.empty() && random.below(3) == 0) asked[random.below(asked.size())] = -1;
    const bool possible = has_strides(expected, shape);
    try {
      const Tensor view = tensor.reshape(asked);
      ++accepted;
      CHECK(shape_of(view) == shape);
      CHECK(elements(view) == expected);
      CHECK(possible);
    } catch (const TensorError& error) {
      ++refused;
      CHECK(std::string(error.what()).find("needs a copy with these strides; use copy() first") !=
            std::string::npos);
      CHECK_FALSE(possible);
      CHECK(values(tensor.copy().reshape(asked)) == values(tensor));
    }
  }
  CHECK(accepted > scaled(500));
  CHECK(refused > scaled(500));
}

TEST_CASE("reshape: counts that don't fit, and counts that can't be counted") {
  const Tensor tensor = Tensor::empty({4, 6}, u8);
  const auto error = [](const Tensor& from, const Shape& shape) {
    return thrown_by([&] { static_cast<void>(from.reshape(shape)); });
  };
  CHECK(error(tensor, {5, 5}) == "reshape: (4, 6) has 24 elements, which don't fit (5, 5)");
  CHECK(error(tensor, {5, -1}) == "reshape: (4, 6) has 24 elements, which don't fit (5, -1)");
  CHECK(error(tensor, {}) == "reshape: (4, 6) has 24 elements, which don't fit ()");
  CHECK(error(tensor, {-1, -1}) == "reshape: (-1, -1) is no shape; one size may be -1");
  CHECK(error(tensor, {-24}) == "reshape: (-24,) is no shape; one size may be -1");
  CHECK(error(tensor, {kHuge, kHuge}).find("is more than memory can hold") != std::string::npos);
  CHECK(error(tensor, {kHuge, kHuge, -1}).find("is more than memory can hold") !=
        std::string::npos);
  Shape long_shape(17, 1);
  long_shape[0] = 24;
  CHECK(error(tensor, long_shape) == "reshape: 17 dimensions; at most 16 are possible");
  CHECK(shape_of(tensor.reshape({-1})) == Shape{24});
  CHECK(shape_of(tensor.reshape({2, -1, 3})) == Shape{2, 4, 3});

  const Tensor empty = Tensor::empty({0, 3}, f32);
  CHECK(shape_of(empty.reshape({5, 0, 7})) == Shape{5, 0, 7});
  CHECK(shape_of(empty.reshape({-1, 3})) == Shape{0, 3});
  CHECK(error(empty, {0, -1}) == "reshape: (0, 3) has 0 elements, which don't fit (0, -1)");
  CHECK(error(empty, {0, kHuge, kHuge}).find("is more than memory can hold") != std::string::npos);
  const Tensor scalar = Tensor::empty({}, f32);
  CHECK(shape_of(scalar.reshape({1, 1})) == Shape{1, 1});
  CHECK(shape_of(scalar.reshape({-1})) == Shape{1});
  CHECK(shape_of(scalar.reshape({1}).reshape({})) == Shape{});
}

TEST_CASE("contiguous: exactly when packed strides would give the same addresses") {
  Random random(6);
  std::vector<std::byte> buffer(1 << 16);
  for (int i = 0; i < scaled(3000); ++i) {
    const Tensor tensor = random_tensor(random, buffer, kDtypes[random.below(kDtypes.size())]);
    const auto all = elements(tensor);
    bool packed = true;
    for (std::size_t k = 0; k < all.size(); ++k) {
      packed = packed && all[k] == all[0] + static_cast<std::int64_t>(k) * tensor.itemsize();
    }
    CHECK(tensor.is_contiguous() == packed);
  }
}

TEST_CASE(
    "range: from the lowest to the highest byte of any tensor, and it meets what it touches") {
  Random random(7);
  std::vector<std::byte> buffer(1 << 16);
  for (int i = 0; i < scaled(3000); ++i) {
    const Dtype dtype = kDtypes[random.below(kDtypes.size())];
    const Tensor a = random_tensor(random, buffer, dtype), b = random_tensor(random, buffer, dtype);
    const auto range = a.impl().range();
    const auto all = elements(a);
    if (all.empty()) {
      CHECK(range.run == 0);
      continue;
    }
    const auto [low, high] = std::minmax_element(all.begin(), all.end());
    CHECK(range.begin == reinterpret_cast<std::int64_t>(*low));
    CHECK(range.end() == reinterpret_cast<std::int64_t>(*high) + dtype.itemsize());
    const auto theirs = elements(b);
    const bool meet = std::any_of(all.begin(), all.end(), [&](std::byte* address) {
      return std::find(theirs.begin(), theirs.end(), address) != theirs.end();
    });
    if (meet) CHECK(order::check::overlaps(range, b.impl().range()));
  }
}

TEST_CASE("copy: any strides to any strides, and not a byte beside them") {
  Random random(8);
  std::vector<std::byte> source_bytes(1 << 16), target_bytes(1 << 16);
  for (int i = 0; i < scaled(400); ++i) {
    const Dtype dtype = kDtypes[random.below(kDtypes.size())];
    number(source_bytes, random.next());
    number(target_bytes, random.next());
    const Tensor source = random_tensor(random, source_bytes, dtype);
    const Shape shape = shape_of(source);
    const Tensor target = random_tensor(random, target_bytes, dtype, false, &shape);
    const auto expected = values(source);
    auto whole = target_bytes;
    std::size_t at = 0;
    for (const std::byte* address : elements(target)) {
      std::copy_n(expected.data() + at, dtype.itemsize(),
                  whole.data() + (address - target_bytes.data()));
      at += static_cast<std::size_t>(dtype.itemsize());
    }
    source.copy_to(target);
    CHECK(target_bytes == whole);
    const Tensor packed = source.copy();
    CHECK(packed.is_contiguous());
    CHECK(values(packed) == expected);
    CHECK_FALSE(packed.readonly());
  }
}

TEST_CASE("copy: over itself the elements arrive as they were") {
  const Tensor tensor = Tensor::empty({1000}, i16);
  auto* data = static_cast<std::int16_t*>(tensor.data());
  const auto fill = [&] { std::iota(data, data + 1000, std::int16_t{0}); };
  fill();
  tensor.slice(0, 0, 999).copy_to(tensor.slice(0, 1, 1000));
  CHECK(data[0] == 0);
  CHECK(data[1] == 0);
  CHECK(data[999] == 998);
  fill();
  tensor.slice(0, 1, 1000).copy_to(tensor.slice(0, 0, 999));
  CHECK(data[0] == 1);
  CHECK(data[998] == 999);
  fill();
  tensor.slice(0, 999, -1, -1).copy_to(tensor);
  for (int i = 0; i < 1000; ++i) CHECK(data[i] == 999 - i);
  fill();
  tensor.copy_to(tensor);
  for (int i = 0; i < 1000; ++i) CHECK(data[i] == i);
  const Tensor square = tensor.slice(0, 0, 900).reshape({30, 30});
  square.permute({1, 0}).copy_to(square);
  for (int i = 0; i < 900; ++i) CHECK(data[i] == i % 30 * 30 + i / 30);
}

TEST_CASE(
    "copy: a target that does not fit is an error that says what differs, and stays as it is") {
  const Tensor source = Tensor::zeros({2, 3}, u8);
  const auto error = [&](const Tensor& target) {
    return thrown_by([&] { source.copy_to(target); });
  };
  CHECK(error(Tensor::empty({3, 2}, u8)) ==
        "copy_to: the target has shape (3, 2), the source (2, 3)");
  CHECK(error(Tensor::empty({6}, u8)) == "copy_to: the target has shape (6,), the source (2, 3)");
  CHECK(error(Tensor::empty({2, 3}, i8)) == "copy_to: the target has dtype int8, the source uint8");
  CHECK(error(Tensor::empty({2, 3}, u8).as_readonly()) == "copy_to: the target is read-only");
  CHECK(error(Tensor::empty({2, 3}, u8)) == "");
}

TEST_CASE("copy: on a stream it waits for the source, and whoever reads the target for the copy") {
  const Stream producer = new_stream(), copier = new_stream(), reader = new_stream();
  const Tensor source = Tensor::empty({1000}, u8, {}, producer), target = Tensor::zeros({1000}, u8);
  Held held(producer);
  producer.launch(
      [data = static_cast<std::byte*>(source.data())] { std::fill_n(data, 1000, std::byte{9}); },
      writes(source));
  source.copy_to(target, copier);
  std::atomic<int> wrong{0};
  const Event event = reader.launch(
      [&, data = static_cast<std::byte*>(target.data())] {
        wrong.fetch_add(static_cast<int>(1000 - std::count(data, data + 1000, std::byte{9})));
      },
      reads(target));
  CHECK_FALSE(copier.query());
  CHECK_FALSE(event.query());
  held.release();
  event.sync();
  CHECK(wrong == 0);
  const CurrentStream current(copier);
  Held again(copier);
  const Tensor queued = source.copy();
  CHECK_FALSE(queued.query());
  again.release();
  queued.sync();
  CHECK(values(queued) == values(source));
}
