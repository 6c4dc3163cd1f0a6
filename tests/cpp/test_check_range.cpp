// Which bytes a view covers, and whether two views share one: against sets of bytes.
#include "order/range.hpp"
#include "tensor_fixture.hpp"

#include <set>

using namespace penstock;
using namespace penstock::test;
using order::check::Level;
using order::check::overlaps;
using order::check::Range;

namespace {

using Bytes = std::set<std::int64_t>;

Bytes bytes_of(const Tensor& tensor) {
  Bytes bytes;
  for (const std::byte* address : elements(tensor)) {
    for (std::int64_t i = 0; i < tensor.itemsize(); ++i) {
      bytes.insert(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(address)) + i);
    }
  }
  return bytes;
}

Bytes bytes_of(const Range& range) {
  Bytes bytes;
  for (std::int64_t i = 0; i < range.run; ++i) bytes.insert(range.begin + i);
  for (const Level& level : range.levels()) {
    const Bytes inner = std::move(bytes);
    bytes.clear();
    for (std::int64_t i = 0; i < level.count; ++i) {
      for (const std::int64_t byte : inner) bytes.insert(byte + i * level.stride);
    }
  }
  return bytes;
}

bool share(const Bytes& a, const Bytes& b) {
  return std::ranges::any_of(a, [&](std::int64_t byte) { return b.contains(byte); });
}

// A few steps, each a slice, a selection or another order of dimensions.
Tensor random_view(Random& random, Tensor view) {
  for (std::uint64_t steps = random.below(5); steps > 0; --steps) {
    if (view.ndim() == 0) return view;
    const int dim = static_cast<int>(random.below(static_cast<std::uint64_t>(view.ndim())));
    const std::int64_t extent = view.shape()[static_cast<std::size_t>(dim)];
    if (extent == 0) return view;
    const auto index = [&](std::int64_t bound) {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(bound)));
    };
    const std::int64_t from = index(extent);
    const std::int64_t step = index(3) + 1;
    switch (random.below(6)) {
      case 0:
        view = view.select(dim, from);
        break;
      case 1:
        view = view.slice(dim, from, -1, -step);
        break;
      case 2: {
        std::vector<int> dims(static_cast<std::size_t>(view.ndim()));
        std::iota(dims.rbegin(), dims.rend(), 0);
        view = view.permute(dims);
        break;
      }
      default:
        view = view.slice(dim, from, from + index(extent - from) + 1, step);
    }
  }
  return view;
}

void check_pair(const Tensor& a, const Tensor& b) {
  const Range range_a = a.impl().range(), range_b = b.impl().range();
  const bool expected = share(bytes_of(a), bytes_of(b));
  CHECK(overlaps(range_a, range_b) == expected);
  CHECK(overlaps(range_b, range_a) == expected);
}

}  // namespace

TEST_CASE("check range: it has exactly the bytes of the view") {
  std::vector<std::byte> buffer(1 << 16);
  for (int i = 0; i < scaled(500); ++i) {
    Random random(static_cast<std::uint64_t>(i));
    CAPTURE(i);
    const Tensor tensor =
        random_view(random, random_tensor(random, buffer, kDtypes[random.below(7)]));
    const Range range = tensor.impl().range();
    const Bytes bytes = bytes_of(tensor);
    CHECK(bytes_of(range) == bytes);
    if (bytes.empty()) continue;
    CHECK(range.begin == *bytes.begin());
    CHECK(range.end() == *bytes.rbegin() + 1);
  }
}

TEST_CASE("check range: views of one tensor overlap if and only if they share a byte") {
  int overlapping = 0, apart = 0;
  for (int i = 0; i < scaled(3000); ++i) {
    Random random(static_cast<std::uint64_t>(i));
    CAPTURE(i);
    Shape shape(random.below(4) + 1);
    for (std::int64_t& extent : shape) extent = static_cast<std::int64_t>(random.below(7)) + 1;
    const Tensor whole = Tensor::empty(shape, random.below(2) == 0 ? u8 : i16);
    const Tensor a = random_view(random, whole), b = random_view(random, whole);
    check_pair(a, b);
    ++(share(bytes_of(a), bytes_of(b)) ? overlapping : apart);
  }
  CHECK(overlapping > scaled(500));
  CHECK(apart > scaled(500));
}

TEST_CASE("check range: and so do views of one buffer with any strides at all") {
  std::vector<std::byte> buffer(1 << 16);
  for (int i = 0; i < scaled(2000); ++i) {
    Random random(static_cast<std::uint64_t>(i));
    CAPTURE(i);
    const auto view = [&] {
      std::vector<std::byte> unused;
      const std::size_t at = random.below(200);
      return random_tensor(random, std::span(buffer).subspan(at), kDtypes[random.below(7)]);
    };
    const Tensor a = view(), b = view();
    check_pair(a, b);
  }
  // Not made by slicing: strides that neither nest nor divide one another.
  for (int i = 0; i < scaled(3000); ++i) {
    Random random(static_cast<std::uint64_t>(i));
    CAPTURE(i);
    const auto range = [&] {
      std::vector<Level> dims(random.below(4));
      for (Level& dim : dims) {
        dim = {static_cast<std::int64_t>(random.below(60)) - 20,
               static_cast<std::int64_t>(random.below(6)) + 1};
      }
      return Range(static_cast<std::int64_t>(random.below(150)),
                   static_cast<std::int64_t>(random.below(4)) + 1, dims);
    };
    const Range a = range(), b = range();
    const bool expected = share(bytes_of(a), bytes_of(b));
    CHECK(overlaps(a, b) == expected);
    CHECK(overlaps(b, a) == expected);
  }
}

TEST_CASE("check range: crops of large images are told apart") {
  const auto are_apart = [](const Tensor& a, const Tensor& b) {
    return !overlaps(a.impl().range(), b.impl().range());
  };
  const Tensor batch = Tensor::empty({4, 1080, 1920, 3}, u8, "NHWC");
  const auto crop = [&](std::int64_t x, std::int64_t y) {
    return batch.slice(1, y, y + 540).slice(2, x, x + 960);
  };
  CHECK(are_apart(crop(0, 0), crop(960, 3)));
  CHECK(are_apart(crop(0, 0), crop(959, 540)));
  CHECK(are_apart(crop(959, 540), crop(0, 0)));
  CHECK_FALSE(are_apart(crop(0, 0), crop(959, 539)));
  CHECK_FALSE(are_apart(crop(959, 539), crop(0, 0)));
  CHECK(are_apart(batch.select(2, 1919), crop(959, 100)));
  CHECK_FALSE(are_apart(batch.select(2, 1919), crop(960, 100)));
  // Channels, fields, and the bytes of other shapes.
  const Tensor flat = batch.reshape({-1}), red = batch.select(3, 0);
  CHECK(are_apart(red, batch.select(3, 1)));
  CHECK(are_apart(red, flat.slice(0, 1, flat.size(), 3)));
  CHECK_FALSE(are_apart(red, flat.slice(0, 1, flat.size(), 2)));
  const Tensor odd_rows = batch.slice(1, 1, 1080, 2);
  CHECK(are_apart(batch.slice(1, 0, 1080, 2), odd_rows.slice(2, 7, 1900, 3)));
  CHECK_FALSE(are_apart(batch.slice(1, 0, 1080, 3), odd_rows.slice(2, 7, 1900, 3)));
}

TEST_CASE("check range: what takes too long to find out counts as overlapping") {
  std::vector<Level> even;
  for (const std::int64_t prime : {1'000'003, 1'000'033, 1'000'037, 1'000'039, 1'000'081}) {
    even.push_back({2 * prime, 40});
  }
  CHECK_FALSE(overlaps(Range(0, 1, even), Range(1'000'001, 1, even)));  // odd: by the divisor
  CHECK(overlaps(Range(0, 1, even), Range(100'000'000, 1, even)));
}
