// Tensors: what they are made as, and views of them.
#include "tensor_fixture.hpp"

#include <thread>

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr std::int64_t kHuge = std::int64_t{1} << 40;

std::int64_t counted_bytes() { return memory::stats(kCpu).bytes_live; }

}  // namespace

TEST_CASE("tensor: packed rows, last dimension innermost; everything about it can be asked") {
  const Tensor tensor = Tensor::empty({4, 6, 3}, f32, "HWC");
  CHECK(shape_of(tensor) == Shape{4, 6, 3});
  CHECK(strides_of(tensor) == Shape{72, 12, 4});
  CHECK(tensor.dtype() == f32);
  CHECK(tensor.layout().str() == "HWC");
  CHECK(tensor.device() == Device::cpu());
  CHECK(tensor.ndim() == 3);
  CHECK(tensor.size() == 72);
  CHECK(tensor.nbytes() == 288);
  CHECK(tensor.itemsize() == 4);
  CHECK_FALSE(tensor.readonly());
  CHECK(tensor.is_contiguous());
  CHECK(tensor.query());
  const Tensor scalar = Tensor::empty({}, c128);
  CHECK(scalar.ndim() == 0);
  CHECK(scalar.size() == 1);
  CHECK(scalar.nbytes() == 16);
  CHECK(scalar.is_contiguous());
}

TEST_CASE("tensor: zeros are zero, also in memory that was used before") {
  for (int i = 0; i < 3; ++i) {
    const Tensor tensor = Tensor::zeros({7, 50, 3}, u8);
    auto* data = static_cast<std::byte*>(tensor.data());
    CHECK(std::all_of(data, data + tensor.nbytes(), [](std::byte b) { return b == std::byte{0}; }));
    std::fill_n(data, tensor.nbytes(), std::byte{0xFF});
  }
  const Stream stream = new_stream();
  const CurrentStream current(stream);
  Held held(stream);
  const Tensor queued = Tensor::zeros({100}, u8);
  CHECK_FALSE(queued.query());
  held.release();
  queued.sync();
  CHECK(values(queued) == std::vector<std::byte>(100));
  CHECK(Tensor::zeros({0, 4}, f64).size() == 0);
}

TEST_CASE("tensor: rows begin where rowalign says, packed inside; addresses too, up to a page") {
  for (const std::int64_t align : {2, 32, 64, 256, 4096}) {
    const Tensor image = Tensor::empty({5, 7, 3}, u8, "HWC", kCpu, align);
    CHECK(image.strides()[2] == 1);
    CHECK(image.strides()[1] == 3);
    CHECK(image.strides()[0] == (21 + align - 1) / align * align);
    CHECK(reinterpret_cast<std::uintptr_t>(image.data()) % static_cast<std::uintptr_t>(align) == 0);
    const Tensor planes = Tensor::empty({2, 3, 5, 7}, f32, "NCHW", kCpu, align);
    const std::int64_t row = (28 + align - 1) / align * align;
    CHECK(strides_of(planes) == Shape{15 * row, 5 * row, row, 4});
    for (const Tensor& tensor : {image, planes}) {
      const auto all = elements(tensor);
      CHECK(all.front() == tensor.data());
      CHECK(all.back() + tensor.itemsize() <=
            tensor.impl().block->data() + tensor.impl().block->bytes());
      for (std::byte* address : all) std::fill_n(address, tensor.itemsize(), std::byte{1});
    }
  }
  CHECK(strides_of(Tensor::empty({4, 3}, u8, "", kCpu, 64)) == Shape{64, 1});
  CHECK(strides_of(Tensor::empty({4, 3}, u8, "", kCpu, 1)) == Shape{3, 1});
  CHECK(strides_of(Tensor::empty({10}, u8, "", kCpu, 64)) == Shape{1});
  CHECK(Tensor::empty({0, 3}, u8, "", kCpu, 64).size() == 0);
}

TEST_CASE("tensor: what can't be made is a TensorError that says why, and takes nothing") {
  const std::int64_t before = counted_bytes();
  const auto error = [](const Shape& shape, Dtype dtype, Layout layout = {},
                        std::int64_t align = 0) {
    return thrown_by([&] { static_cast<void>(Tensor::empty(shape, dtype, layout, kCpu, align)); });
  };
  CHECK(error({3, -1}, u8) == "Tensor: shape (3, -1) has a negative size");
  CHECK(error({4, -2, -3}, u8, "HWC", 64) == "Tensor: shape (4, -2, -3) has a negative size");
  CHECK(error({kHuge, kHuge}, u8) ==
        "Tensor: shape (1099511627776, 1099511627776) of uint8 is more than memory can hold");
  CHECK(error({kHuge, kHuge, 4}, u8, "HWC", 64).find("more than memory can hold") !=
        std::string::npos);
  CHECK(error({kHuge, kHuge / 2, kHuge / 2}, u8, "HWC", 64).find("more than memory") !=
        std::string::npos);
  CHECK(error({0, kHuge, kHuge}, u8).find("more than memory can hold") != std::string::npos);
  CHECK(error({3, kHuge}, u8, "", std::int64_t{1} << 62).find("more than memory") !=
        std::string::npos);
  CHECK(error(Shape(17, 1), u8) == "Tensor: 17 dimensions; at most 16 are possible");
  CHECK(error({2}, Dtype{DtypeCode::int_, 7}) == "Tensor: unknown dtype");
  CHECK(error({2, 3}, u8, "HWC") ==
        "Tensor: layout \"HWC\" has 3 letters, shape (2, 3) has 2 dimensions");
  CHECK(error({2, 3}, u8, "", 48) == "Tensor: rowalign 48 is no power of two");
  CHECK(error({2, 3}, u8, "", -64) == "Tensor: rowalign -64 is no power of two");
  CHECK_THROWS_AS(static_cast<void>(Tensor::empty({kHuge, 1024}, f64)), OutOfMemory);
  CHECK(counted_bytes() == before);
  CHECK(Tensor::empty(Shape(16, 1), u8).ndim() == 16);
}

TEST_CASE("tensor: layouts are checked letter by letter") {
  CHECK(thrown_by([] { Layout("hwc"); }).find("has 'h'; expected capital letters") !=
        std::string::npos);
  CHECK(thrown_by([] { Layout("HWH"); }).find("names 'H' twice") != std::string::npos);
  CHECK(thrown_by([] { Layout("ABCDEFGHIJKLMNOP"); }).find("has 16 letters; at most 15") !=
        std::string::npos);
  const Tensor tensor = Tensor::empty({4, 6, 3}, u8, "HWC");
  CHECK(tensor.view("CHW").layout().str() == "CHW");
  CHECK(tensor.view({}).layout().empty());
  CHECK(thrown_by([&] { static_cast<void>(tensor.view("NHWC")); }) ==
        "view: layout \"NHWC\" has 4 letters, shape (4, 6, 3) has 3 dimensions");
  CHECK(tensor.slice(1, 0, 3).layout().str() == "HWC");
  CHECK(tensor.select(2, 0).layout().empty());
  CHECK(tensor.permute({2, 0, 1}).layout().str() == "CHW");
  CHECK(tensor.view({}).permute({2, 0, 1}).layout().empty());
  CHECK(tensor.reshape({24, 3}).layout().empty());
  CHECK(tensor.copy().layout().str() == "HWC");
}

TEST_CASE("views: a slice has the elements of the loop that it stands for") {
  Random random(3);
  std::vector<std::byte> buffer(1 << 16);
  for (int i = 0; i < scaled(2000); ++i) {
    const Tensor tensor = random_tensor(random, buffer, kDtypes[random.below(kDtypes.size())]);
    if (tensor.ndim() == 0) continue;
    const int dim = static_cast<int>(random.below(static_cast<std::uint64_t>(tensor.ndim())));
    const auto at = static_cast<std::size_t>(dim);
    const std::int64_t extent = tensor.shape()[at];
    const std::int64_t step =
        static_cast<std::int64_t>(random.below(4)) - 2 + static_cast<std::int64_t>(random.below(2));
    const auto position = [&] {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(extent) + 4)) - 2;
    };
    const std::int64_t begin = position(), end = position();
    const bool is_inside = step > 0 ? 0 <= begin && begin <= extent && 0 <= end && end <= extent
                                    : -1 <= begin && begin < extent && -1 <= end && end < extent;
    if (step == 0 || !is_inside) {
      CHECK_THROWS_AS(static_cast<void>(tensor.slice(dim, begin, end, step)), TensorError);
      continue;
    }
    const Tensor slice = tensor.slice(dim, begin, end, step);
    std::vector<std::int64_t> kept;
    for (std::int64_t k = begin; step > 0 ? k < end : k > end; k += step) kept.push_back(k);
    Shape expected = shape_of(tensor);
    expected[at] = static_cast<std::int64_t>(kept.size());
    CHECK(shape_of(slice) == expected);
    for_each_index(shape_of(slice), [&](const Shape& index) {
      Shape from = index;
      from[at] = kept[static_cast<std::size_t>(index[at])];
      if (element(slice, index) != element(tensor, from)) FAIL_CHECK("another element");
    });
  }
}

TEST_CASE("views: slices at the edges, and steps that no loop could take") {
  const Tensor tensor = Tensor::empty({10}, u8);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  CHECK(tensor.slice(0, 10, 10).size() == 0);
  CHECK(tensor.slice(0, 7, 3).size() == 0);
  CHECK(tensor.slice(0, -1, -1, -1).size() == 0);
  const Tensor reversed = tensor.slice(0, 9, -1, -1);
  CHECK(reversed.data() == static_cast<std::byte*>(tensor.data()) + 9);
  CHECK(strides_of(reversed) == Shape{-1});
  CHECK_FALSE(reversed.is_contiguous());
  CHECK(tensor.slice(0, 3, 10, kMost).size() == 1);
  CHECK(tensor.slice(0, 3, -1, -kMost - 1).size() == 1);
  CHECK(tensor.slice(0, 3, 10, kMost).slice(0, 0, 1, kMost).size() == 1);
  CHECK(thrown_by([&] { static_cast<void>(tensor.slice(0, 0, 10, 0)); }) == "slice: the step is 0");
  CHECK(thrown_by([&] { static_cast<void>(tensor.slice(0, 0, 11)); }) ==
        "slice: 0:11:1 is outside of dimension 0 with 10 elements");
  CHECK(thrown_by([&] { static_cast<void>(tensor.slice(1, 0, 1)); }) ==
        "slice: dimension 1 of a tensor with 1 dimensions");
  CHECK(thrown_by([&] { static_cast<void>(tensor.select(0, 10)); }) ==
        "select: index 10 is outside of dimension 0 with 10 elements");
  CHECK(thrown_by([&] { static_cast<void>(tensor.select(-1, 0)); }) ==
        "select: dimension -1 of a tensor with 1 dimensions");
  CHECK(thrown_by([&] { static_cast<void>(tensor.permute({0, 0})); }) ==
        "permute: expected each of the 1 dimensions once");
  CHECK(thrown_by([&] { static_cast<void>(tensor.permute({1})); }) ==
        "permute: expected each of the 1 dimensions once");
}

TEST_CASE("views: select and permute have the elements of their indices") {
  Random random(4);
  std::vector<std::byte> buffer(1 << 16);
  for (int i = 0; i < scaled(1000); ++i) {
    const Tensor tensor = random_tensor(random, buffer, kDtypes[random.below(kDtypes.size())]);
    const auto rank = static_cast<std::size_t>(tensor.ndim());
    std::vector<int> dims(rank);
    std::iota(dims.begin(), dims.end(), 0);
    for (std::size_t k = rank; k > 1; --k) std::swap(dims[k - 1], dims[random.below(k)]);
    const Tensor permuted = tensor.permute(dims);
    for_each_index(shape_of(permuted), [&](const Shape& index) {
      Shape from(rank);
      for (std::size_t k = 0; k < rank; ++k) from[static_cast<std::size_t>(dims[k])] = index[k];
      if (element(permuted, index) != element(tensor, from)) FAIL_CHECK("another element");
    });
    if (rank == 0 || tensor.size() == 0) continue;
    const std::size_t dim = random.below(rank);
    const auto at =
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(tensor.shape()[dim])));
    const Tensor selected = tensor.select(static_cast<int>(dim), at);
    for_each_index(shape_of(selected), [&](Shape index) {
      const auto* address = element(selected, index);
      index.insert(index.begin() + static_cast<std::ptrdiff_t>(dim), at);
      if (address != element(tensor, index)) FAIL_CHECK("another element");
    });
  }
}

TEST_CASE("views: they keep the memory, and share permission and order with it") {
  const memory::test::FreshCache cache;
  const Stream stream = new_stream();
  Held held(stream);
  Tensor view = Tensor::empty({100, 100}, u8, {}, stream).slice(0, 50, 60).select(1, 3);
  CHECK(memory::stats(kCpu).blocks == 1);
  const Tensor sibling = view.reshape({5, 2}).as_readonly();
  CHECK(sibling.readonly());
  CHECK_FALSE(view.readonly());
  CHECK(sibling.slice(0, 0, 1).readonly());
  CHECK(sibling.permute({1, 0}).select(0, 0).view({}).reshape({5, 1}).readonly());
  const Event event = stream.launch([] {}, writes(view));
  CHECK_FALSE(sibling.query());  // one memory, one order
  held.release();
  event.sync();
  CHECK(sibling.query());
}

TEST_CASE("threads: tensors and views are copied, viewed and dropped anywhere") {
  const memory::test::FreshCache cache;
  std::atomic<std::int64_t> wrong{0};
  for (int round = 0; round < scaled(30); ++round) {
    const Tensor shared = Tensor::empty({16, 16}, i16);
    number({static_cast<std::byte*>(shared.data()), 512}, static_cast<std::uint64_t>(round));
    const auto expected = values(shared);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t, mine = shared]() mutable {
        Random random(static_cast<std::uint64_t>(t));
        std::vector<Tensor> kept;
        for (int i = 0; i < 200; ++i) {
          kept.push_back(random.below(2) == 0 ? mine : mine.slice(0, 0, 16));
          if (random.below(3) == 0) mine = kept[random.below(kept.size())].permute({0, 1});
          if (kept.size() > 5)
            kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(random.below(5)));
        }
        const Tensor copy = mine.copy();
        if (values(copy) != expected) wrong.fetch_add(1);
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(shared.impl().ref_count() == 1);
    CHECK(shared.impl().block->ref_count() == 1);
  }
  CHECK(wrong == 0);
  CHECK(memory::stats(kCpu).bytes_live == 0);
}
