// Builds DLPack records and array descriptions from bytes, over a real buffer of known size.
// Whatever is accepted must cover exactly the bytes that its sizes and strides say, and what lies
// inside of the buffer is viewed, reshaped, sliced, copied, exported and taken in again.
#include "order/check.hpp"
#include "tensor/import.hpp"
#include "tensor/tensor_data.hpp"

#include <penstock/error.hpp>
#include <penstock/tensor.hpp>

#include <fuzzer/FuzzedDataProvider.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

using namespace penstock;

namespace {

using Wide = __int128;

constexpr std::size_t kBufferBytes = 4096;
constexpr std::int64_t kMostWalked = 2048;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_import: %s\n", what);
  std::abort();
}

int releases = 0;
const Owner kOwner{[](void*) { ++releases; }, nullptr};

struct Bytes {
  Wide low = 0;
  Wide end = 0;
};

// What the sizes and strides of a tensor cover, in numbers that can't overflow.
Bytes covered(const Tensor& tensor) {
  const Wide first = static_cast<Wide>(reinterpret_cast<std::uintptr_t>(tensor.data()));
  Bytes bytes{first, first + tensor.itemsize()};
  for (int dim = 0; dim < tensor.ndim(); ++dim) {
    const auto i = static_cast<std::size_t>(dim);
    const Wide reach = static_cast<Wide>(tensor.strides()[i]) * (tensor.shape()[i] - 1);
    (reach < 0 ? bytes.low : bytes.end) += reach;
  }
  return bytes;
}

std::vector<std::byte*> walk(const Tensor& tensor) {
  std::vector<std::byte*> addresses;
  std::vector<std::int64_t> index(static_cast<std::size_t>(tensor.ndim()), 0);
  for (std::int64_t count = tensor.size(); count > 0; --count) {
    auto* address = static_cast<std::byte*>(tensor.data());
    for (std::size_t dim = 0; dim < index.size(); ++dim)
      address += index[dim] * tensor.strides()[dim];
    addresses.push_back(address);
    for (std::size_t dim = index.size(); dim > 0 && ++index[dim - 1] == tensor.shape()[dim - 1];) {
      index[--dim] = 0;
    }
  }
  return addresses;
}

bool same_values(const Tensor& a, const Tensor& b) {
  const auto from = walk(a), to = walk(b);
  require(from.size() == to.size(), "two counts of one tensor");
  const auto item = static_cast<std::size_t>(a.itemsize());
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (std::memcmp(from[i], to[i], item) != 0) return false;
  }
  return true;
}

void check_range(const Tensor& tensor) {
  const auto range = tensor.impl().range();
  if (tensor.size() == 0) {
    require(range.run == 0, "an empty tensor covers bytes");
    return;
  }
  const Bytes bytes = covered(tensor);
  require(range.begin == bytes.low, "range begins elsewhere");
  require(range.end() == bytes.end, "range ends elsewhere");
}

void check_block(const Tensor& tensor) {
  if (tensor.size() == 0) return;
  const Bytes bytes = covered(tensor);
  require(bytes.low >= 0 && bytes.end <= INT64_MAX, "accepted beyond all addresses");
  const memory::Block& block = *tensor.impl().block;
  require(static_cast<Wide>(reinterpret_cast<std::uintptr_t>(block.data())) == bytes.low,
          "block begins elsewhere");
  require(static_cast<Wide>(block.bytes()) == bytes.end - bytes.low, "block has another size");
}

bool is_inside(const Tensor& tensor, const std::array<std::byte, kBufferBytes>& buffer) {
  if (tensor.size() == 0) return true;
  const Bytes bytes = covered(tensor);
  const Wide begin = static_cast<Wide>(reinterpret_cast<std::uintptr_t>(buffer.data()));
  return bytes.low >= begin && bytes.end <= begin + static_cast<Wide>(kBufferBytes);
}

std::int64_t any_size(FuzzedDataProvider& data) {
  switch (data.ConsumeIntegralInRange(0, 5)) {
    case 0:
      return data.ConsumeIntegral<std::int64_t>();
    case 1:
      return data.ConsumeIntegralInRange<std::int64_t>(-2, 200);
    default:
      return data.ConsumeIntegralInRange<std::int64_t>(0, 6);
  }
}

std::int64_t any_stride(FuzzedDataProvider& data) {
  switch (data.ConsumeIntegralInRange(0, 5)) {
    case 0:
      return data.ConsumeIntegral<std::int64_t>();
    case 1:
      return std::int64_t{1} << data.ConsumeIntegralInRange(0, 62);
    default:
      return data.ConsumeIntegralInRange<std::int64_t>(-64, 64);
  }
}

void check_reshape(const Tensor& tensor, FuzzedDataProvider& data) {
  Shape shape;
  for (auto rank = data.ConsumeIntegralInRange(0, 5); rank > 0; --rank) {
    shape.push_back(data.ConsumeBool() ? -1 : any_size(data));
  }
  try {
    const Tensor view = tensor.reshape(shape);
    require(walk(view) == walk(tensor), "reshaped to other elements");
    check_range(view);
  } catch (const TensorError&) {
  }
}

// Views of views; each must stay inside of what it is a view of.
void check_views(Tensor tensor, FuzzedDataProvider& data) {
  for (int i = 0; i < 4; ++i) {
    const Bytes outer = covered(tensor);
    const int dim = data.ConsumeIntegralInRange(-1, 4);
    try {
      switch (data.ConsumeIntegralInRange(0, 3)) {
        case 0:
          tensor = tensor.slice(dim, any_size(data), any_size(data), any_stride(data));
          break;
        case 1:
          tensor = tensor.select(dim, any_size(data));
          break;
        case 2: {
          std::vector<int> dims;
          for (int d = 0; d < tensor.ndim(); ++d)
            dims.insert(dims.begin() + data.ConsumeIntegralInRange(0, d), d);
          tensor = tensor.permute(dims);
          break;
        }
        default:
          check_reshape(tensor, data);
      }
    } catch (const TensorError&) {
      continue;
    }
    check_range(tensor);
    if (tensor.size() == 0) continue;
    const Bytes inner = covered(tensor);
    require(inner.low >= outer.low && inner.end <= outer.end,
            "a view that reaches out of its tensor");
  }
}

void check_contents(const Tensor& tensor, FuzzedDataProvider& data) {
  const Tensor copy = tensor.copy();
  require(copy.is_contiguous(), "a copy with gaps");
  require(same_values(tensor, copy), "a copy with other values");
  check_reshape(copy, data);
  check_views(tensor, data);
  auto* managed = to_dlpack_versioned(tensor);
  const Tensor again = Tensor::wrap(managed->dl_tensor, tensor.readonly(), {});
  require(walk(again) == walk(tensor), "exported and taken in as other elements");
  managed->deleter(managed);
  if (!tensor.readonly()) copy.copy_to(tensor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  FuzzedDataProvider data(bytes, size);
  static std::array<std::byte, kBufferBytes> buffer;
  for (std::size_t i = 0; i < buffer.size(); ++i)
    buffer[i] = static_cast<std::byte>(i * 7 + i / 256);

  const int ndim = data.ConsumeIntegralInRange(0, 9) == 0 ? data.ConsumeIntegral<std::int32_t>()
                                                          : data.ConsumeIntegralInRange(0, 6);
  std::array<std::int64_t, kMaxDims> shape{}, strides{};
  for (int dim = 0; dim < ndim && dim < kMaxDims; ++dim) {
    shape[static_cast<std::size_t>(dim)] = any_size(data);
    strides[static_cast<std::size_t>(dim)] = any_stride(data);
  }
  const bool has_shape = data.ConsumeIntegralInRange(0, 15) != 0;
  const bool has_strides = data.ConsumeIntegralInRange(0, 3) != 0;
  std::byte* address = buffer.data() + data.ConsumeIntegralInRange<std::size_t>(0, kBufferBytes);
  if (data.ConsumeIntegralInRange(0, 15) == 0) {
    address = reinterpret_cast<std::byte*>(data.ConsumeIntegral<std::uintptr_t>());
  }
  const std::uint64_t offset = data.ConsumeBool() ? 0
                               : data.ConsumeBool()
                                   ? data.ConsumeIntegral<std::uint64_t>()
                                   : data.ConsumeIntegralInRange<std::uint64_t>(0, 256);
  constexpr std::array kUsual{u8, i16, f32, f64, c128, b8, bf16};
  const bool is_usual = data.ConsumeIntegralInRange(0, 7) != 0;
  const Dtype dtype = is_usual ? data.PickValueInArray(kUsual)
                               : Dtype{static_cast<DtypeCode>(data.ConsumeIntegral<std::uint8_t>()),
                                       data.ConsumeIntegral<std::uint8_t>()};
  const bool readonly = data.ConsumeBool();

  releases = 0;
  bool accepted = false;
  try {
    Tensor tensor = [&] {
      if (data.ConsumeBool()) {
        dlpack::TensorRecord record{address, {dlpack::kCpu, 0}, ndim, {}, nullptr, nullptr, offset};
        const bool odd = data.ConsumeIntegralInRange(0, 15) == 0;
        const std::int32_t type = odd ? data.ConsumeIntegral<std::int32_t>() : dlpack::kCpu;
        std::memcpy(&record.device.device_type, &type, sizeof type);
        if (odd) record.device.device_id = data.ConsumeIntegral<std::int32_t>();
        record.dtype = {static_cast<std::uint8_t>(dtype.code), dtype.bits,
                        odd ? data.ConsumeIntegral<std::uint16_t>() : std::uint16_t{1}};
        if (has_shape) record.shape = shape.data();
        if (has_strides) record.strides = strides.data();
        return Tensor::wrap(record, readonly, kOwner);
      }
      ForeignArray array;
      array.data = address;
      array.ndim = ndim;
      array.shape = has_shape ? shape.data() : nullptr;
      array.strides = has_strides ? strides.data() : nullptr;
      array.byte_offset = offset;
      array.dtype = dtype;
      array.readonly = readonly;
      return wrap_foreign("fuzz", array, kOwner);
    }();
    accepted = true;
    check_range(tensor);
    check_block(tensor);
    if (tensor.size() <= kMostWalked && is_inside(tensor, buffer)) check_contents(tensor, data);
    require(releases == 0, "the owner went while the tensor is here");
  } catch (const TensorError&) {
    require(!accepted, "an accepted tensor made an error");
    require(releases == 0, "refused, and yet released");
    return 0;
  }
  require(releases == 1, "the owner did not go once");
  return 0;
}
