// What the tests of tensors share: random strided tensors over real memory, and an oracle that
// walks every index of a tensor the slow way.
#pragma once

#include "base/random.hpp"
#include "memory_fixture.hpp"
#include "order/check.hpp"
#include "tensor/import.hpp"
#include "tensor/tensor_data.hpp"

#include <penstock/tensor.hpp>

#include <array>
#include <cstring>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

namespace penstock::test {

using backend::test::eventually;
using backend::test::scaled;
using backend::test::thrown_by;
using memory::test::Held;
using memory::test::kCpu;
using memory::test::new_stream;

inline Shape to_shape(std::span<const std::int64_t> values) {
  return {values.begin(), values.end()};
}
inline Shape shape_of(const Tensor& tensor) { return to_shape(tensor.shape()); }
inline Shape strides_of(const Tensor& tensor) { return to_shape(tensor.strides()); }

// Calls body(index) for every index, the last dimension innermost.
template <class Body>
void for_each_index(const Shape& shape, Body body) {
  for (const std::int64_t extent : shape) {
    if (extent == 0) return;
  }
  Shape index(shape.size(), 0);
  while (true) {
    body(std::as_const(index));
    std::size_t dim = shape.size();
    while (dim > 0 && ++index[dim - 1] == shape[dim - 1]) index[--dim] = 0;
    if (dim == 0) return;
  }
}

inline std::byte* element(const Tensor& tensor, const Shape& index) {
  auto* address = static_cast<std::byte*>(tensor.data());
  for (std::size_t dim = 0; dim < index.size(); ++dim) {
    address += index[dim] * tensor.strides()[dim];
  }
  return address;
}

// Addresses of the elements, in order.
inline std::vector<std::byte*> elements(const Tensor& tensor) {
  std::vector<std::byte*> all;
  for_each_index(shape_of(tensor),
                 [&](const Shape& index) { all.push_back(element(tensor, index)); });
  return all;
}

// The bytes of the elements, in order.
inline std::vector<std::byte> values(const Tensor& tensor) {
  std::vector<std::byte> all;
  for (const std::byte* address : elements(tensor)) {
    all.insert(all.end(), address, address + tensor.itemsize());
  }
  return all;
}

// Each byte of a piece of memory other than its neighbours.
inline void number(std::span<std::byte> bytes, std::uint64_t seed = 1) {
  Random random(seed);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
}

inline constexpr std::array kDtypes{u8, i16, f32, f64, c128, b8, bf16};

// A random tensor of up to 5 dimensions in the buffer: any order of dimensions, gaps, negative and
// broadcast strides, sizes 1 and sometimes 0. The buffer has 64 KB.
inline Tensor random_tensor(Random& random, std::span<std::byte> buffer, Dtype dtype,
                            bool may_repeat = true, const Shape* shape = nullptr) {
  const std::size_t rank = shape != nullptr ? shape->size() : random.below(6);
  Shape sizes(rank), strides(rank);
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = rank; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  if (random.below(2) == 0) std::sort(order.rbegin(), order.rend());  // the usual order
  std::int64_t left = 1;  // elements of the dimensions that have no stride yet
  for (std::size_t dim = 0; dim < rank; ++dim) {
    sizes[dim] = shape != nullptr
                     ? (*shape)[dim]
                     : static_cast<std::int64_t>(random.below(16) == 0 ? 0 : random.below(5) + 1);
    left *= std::max<std::int64_t>(sizes[dim], 1);
  }
  std::int64_t next = dtype.itemsize();
  std::int64_t below = 0;
  for (const std::size_t dim : order) {
    std::int64_t stride = next;
    const auto gap = static_cast<std::int64_t>(random.below(3)) + 1;
    const auto room = static_cast<std::int64_t>(buffer.size());
    if (random.below(4) == 0 && stride * gap * left <= room) stride *= gap;
    left /= std::max<std::int64_t>(sizes[dim], 1);
    next = stride * std::max<std::int64_t>(sizes[dim], 1);
    if (random.below(6) == 0) stride = -stride;
    if (may_repeat && random.below(10) == 0) stride = 0;
    if (stride < 0) below += -stride * std::max<std::int64_t>(sizes[dim] - 1, 0);
    strides[dim] = sizes[dim] == 1 && random.below(3) == 0
                       ? static_cast<std::int64_t>(random.next())  // never used: anything goes
                       : stride;
  }
  ForeignArray array;
  array.ndim = static_cast<std::int32_t>(rank);
  array.shape = sizes.data();
  array.strides = strides.data();
  array.dtype = dtype;
  array.data = buffer.data();
  array.byte_offset = static_cast<std::uint64_t>(below);
  return wrap_foreign("test", array, {});
}

// The checker is on, and what is in it afterwards is this test's.
struct Checker {
  Checker() {
    order::check::clear_races();
    order::check::set_mode(OrderCheck::raise);
  }
  ~Checker() { order::check::set_mode(OrderCheck::off); }
};

// A library that lends memory, gets it back by a deleter and reuses it at once.
struct Library {
  static constexpr std::size_t kBytes = 40'000;

  explicit Library(unsigned char value) : bytes(kBytes, std::byte{value}) {}
  Tensor lend(const Stream* stream = nullptr, std::uint64_t offset = 0) {
    count = static_cast<std::int64_t>(kBytes - offset);
    const dlpack::TensorRecord record{bytes.data(), {dlpack::kCpu, 0}, 1,     {1, 8, 1},
                                      &count,       nullptr,           offset};
    return Tensor::wrap(record, false, {&take_back, this}, {}, stream);
  }
  static void take_back(void* self) {
    auto& library = *static_cast<Library*>(self);
    {
      const std::lock_guard guard(library.mutex);  // two loans may come back at once
      std::fill(library.bytes.begin(), library.bytes.end(), std::byte{0xDD});
    }
    library.releases.fetch_add(1);  // last: the test may end now
  }
  std::mutex mutex;
  std::vector<std::byte> bytes;
  std::int64_t count = 0;
  std::atomic<int> releases{0};
};

}  // namespace penstock::test
