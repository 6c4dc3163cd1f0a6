// Tensors as DLPack has them.
#include "tensor_fixture.hpp"

using namespace penstock;
using namespace penstock::test;

TEST_CASE("export: the exact pointer, no offset, strides that are always there") {
  Random random(9);
  std::vector<std::byte> buffer(1 << 16);
  for (int i = 0; i < scaled(1000); ++i) {
    const Dtype dtype = kDtypes[random.below(kDtypes.size())];
    Tensor tensor = random_tensor(random, buffer, dtype);
    if (random.below(2) == 0) tensor = tensor.as_readonly();
    auto* managed = to_dlpack_versioned(tensor, random.below(2) == 0 ? dlpack::kFlagIsCopied : 0);
    CHECK(managed->version.major == 1);
    CHECK(managed->version.minor == 3);
    CHECK(((managed->flags & dlpack::kFlagReadOnly) != 0) == tensor.readonly());
    const dlpack::TensorRecord& record = managed->dl_tensor;
    CHECK(record.data == (tensor.size() == 0 ? nullptr : tensor.data()));
    CHECK(record.byte_offset == 0);
    CHECK(record.device.device_type == dlpack::kCpu);
    CHECK(record.device.device_id == 0);
    CHECK(record.ndim == tensor.ndim());
    CHECK(record.dtype.code == static_cast<std::uint8_t>(dtype.code));
    CHECK(record.dtype.bits == dtype.bits);
    CHECK(record.dtype.lanes == 1);
    REQUIRE(record.shape != nullptr);
    REQUIRE(record.strides != nullptr);
    // Taken in again it is the same tensor.
    const Tensor again = Tensor::wrap(record, false, {});
    CHECK(shape_of(again) == shape_of(tensor));
    if (tensor.size() > 0) CHECK(elements(again) == elements(tensor));
    managed->deleter(managed);
  }
}

TEST_CASE(
    "export: without a version a read-only tensor is refused, and the error says how to ask") {
  const Tensor tensor = Tensor::zeros({3}, u8);
  auto* managed = to_dlpack(tensor);
  CHECK(managed->dl_tensor.data == tensor.data());
  CHECK(managed->dl_tensor.strides[0] == 1);
  managed->deleter(managed);
  const std::string text = thrown_by([&] { static_cast<void>(to_dlpack(tensor.as_readonly())); });
  CHECK(text.find("max_version=(1, 0)") != std::string::npos);
  CHECK_THROWS_AS(static_cast<void>(to_dlpack(tensor.as_readonly())), ExchangeError);
}
