// DLPack and array descriptions: what is taken in, what is refused and why, and what goes out.
#include "tensor_fixture.hpp"

#include <thread>

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kHuge = std::int64_t{1} << 40;

// A DLPack record over 1,024 bytes, good until a test changes a field.
struct Record {
  Record() {
    number(bytes);
    record = {bytes.data(), {dlpack::kCpu, 0}, 2, {1, 8, 1}, shape.data(), strides.data(), 0};
  }
  Tensor wrap(bool readonly = false, Layout layout = {}) {
    return Tensor::wrap(record, readonly, {&release, this}, layout);
  }
  std::string error(Layout layout = {}) {
    std::string text;
    try {
      static_cast<void>(wrap(false, layout));
    } catch (const TensorError& error) {
      text = error.what();
    }
    CHECK(releases == (text.empty() ? 1 : 0));  // refused: the owner keeps it
    releases = 0;
    return text;
  }
  static void release(void* self) { static_cast<Record*>(self)->releases.fetch_add(1); }

  alignas(64) std::array<std::byte, 1024> bytes{};
  std::array<std::int64_t, 16> shape{4, 6};
  std::array<std::int64_t, 16> strides{6, 1};
  dlpack::TensorRecord record{};
  std::atomic<int> releases{0};
};

using Change = void (*)(Record&);

// The same for the description that the array interfaces give: strides in bytes.
std::string error_of(ForeignArray array) {
  static std::atomic<int> releases{0};
  releases = 0;
  const std::string text = thrown_by([&] {
    static_cast<void>(
        wrap_foreign("as_tensor", array, {[](void*) { releases.fetch_add(1); }, nullptr}));
  });
  CHECK(releases == (text.empty() ? 1 : 0));
  return text;
}

}  // namespace

TEST_CASE("import: a plain array, with no copy, given back once") {
  Record from;
  {
    const Tensor tensor = from.wrap(false, "HW");
    CHECK(tensor.data() == from.bytes.data());
    CHECK(shape_of(tensor) == Shape{4, 6});
    CHECK(strides_of(tensor) == Shape{6, 1});
    CHECK(tensor.dtype() == u8);
    CHECK(tensor.layout().str() == "HW");
    CHECK(tensor.device() == Device::cpu());
    CHECK_FALSE(tensor.readonly());
    CHECK(tensor.query());
    const Tensor view = tensor.slice(0, 1, 2);
    CHECK(view.data() == from.bytes.data() + 6);
    CHECK(from.releases == 0);
  }
  CHECK(from.releases == 1);
}

TEST_CASE("import: everything that the standard allows") {
  struct Case {
    const char* what;
    Change change;
    Shape shape;
    Shape strides;  // in bytes
    std::int64_t offset;
  };
  const std::array cases{
      Case{"no strides: packed", [](Record& r) { r.record.strides = nullptr; }, {4, 6}, {6, 1}, 0},
      Case{"an offset", [](Record& r) { r.record.byte_offset = 17; }, {4, 6}, {6, 1}, 17},
      Case{"one behind the last byte",
           [](Record& r) { r.record.data = r.bytes.data() + 1000; },
           {4, 6},
           {6, 1},
           1000},
      Case{"no dimensions", [](Record& r) { r.record.ndim = 0; }, {}, {}, 0},
      Case{"no dimensions, no pointers",
           [](Record& r) {
             r.record.ndim = 0;
             r.record.shape = r.record.strides = nullptr;
           },
           {},
           {},
           0},
      Case{"broadcast", [](Record& r) { r.strides = {0, 1}; }, {4, 6}, {0, 1}, 0},
      Case{"broadcast both", [](Record& r) { r.strides = {0, 0}; }, {4, 6}, {0, 0}, 0},
      Case{"backwards",
           [](Record& r) {
             r.strides = {-6, -1};
             r.record.byte_offset = 23;
           },
           {4, 6},
           {-6, -1},
           23},
      Case{"gaps and another order", [](Record& r) { r.strides = {3, 40}; }, {4, 6}, {3, 40}, 0},
      Case{"overlapping windows", [](Record& r) { r.strides = {1, 1}; }, {4, 6}, {1, 1}, 0},
      Case{"size 1, a huge stride",
           [](Record& r) {
             r.shape = {1, 6};
             r.strides = {kMost, 1};
           },
           {1, 6},
           {6, 1},
           0},
      Case{"size 1, a hugely negative stride",
           [](Record& r) {
             r.shape = {4, 1};
             r.strides = {1, -kMost - 1};
           },
           {4, 1},
           {1, 1},
           0},
      Case{"i16", [](Record& r) { r.record.dtype = {0, 16, 1}; }, {4, 6}, {12, 2}, 0},
      Case{"not aligned to its items",
           [](Record& r) {
             r.record.dtype = {2, 32, 1};
             r.record.byte_offset = 3;
           },
           {4, 6},
           {24, 4},
           3},
      Case{
          "pinned", [](Record& r) { r.record.device = {dlpack::kCudaHost, 3}; }, {4, 6}, {6, 1}, 0},
      Case{"a device number on the CPU",
           [](Record& r) { r.record.device.device_id = 7; },
           {4, 6},
           {6, 1},
           0},
      Case{"16 dimensions",
           [](Record& r) {
             r.record.ndim = 16;
             r.shape.fill(1);
             r.shape[9] = 5;
             r.record.strides = nullptr;
           },
           {1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 1, 1, 1, 1, 1, 1},
           {5, 5, 5, 5, 5, 5, 5, 5, 5, 1, 1, 1, 1, 1, 1, 1},
           0},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    Record from;
    one.change(from);
    {
      const Tensor tensor = from.wrap();
      CHECK(shape_of(tensor) == one.shape);
      CHECK(strides_of(tensor) == one.strides);
      CHECK(tensor.data() == from.bytes.data() + one.offset);
      CHECK(from.releases == 0);
    }
    CHECK(from.releases == 1);
  }
}

TEST_CASE("import: arrays without elements, wherever they point, with whatever strides") {
  for (void* data :
       {static_cast<void*>(nullptr), reinterpret_cast<void*>(1), reinterpret_cast<void*>(-1)}) {
    for (const std::int64_t stride : {std::int64_t{0}, kMost, -kMost - 1}) {
      Record from;
      from.record.data = data;
      from.record.byte_offset = 99;
      from.shape = {0, 6};
      from.strides = {stride, stride};
      {
        const Tensor tensor = from.wrap();
        CHECK(tensor.size() == 0);
        CHECK(tensor.nbytes() == 0);
        CHECK(shape_of(tensor) == Shape{0, 6});
        CHECK(tensor.is_contiguous());
        CHECK(tensor.copy().size() == 0);
        CHECK(shape_of(tensor.reshape({2, 0})) == Shape{2, 0});
        CHECK(tensor.slice(1, 5, 1, -2).size() == 0);
        CHECK(tensor.select(1, 3).data() == tensor.data());
        tensor.copy_to(tensor);
      }
      CHECK(from.releases == 1);
    }
  }
}

TEST_CASE("import: every type that is known, and no other") {
  int known = 0;
  Record from;
  for (int code = 0; code < 256; ++code) {
    for (int bits = 0; bits < 256; ++bits) {
      from.record.dtype = {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits), 1};
      const Dtype dtype{static_cast<DtypeCode>(code), static_cast<std::uint8_t>(bits)};
      if (is_known(dtype)) {
        ++known;
        CHECK(from.wrap().itemsize() == bits / 8);
        CHECK(from.wrap().dtype() == dtype);
        CHECK(dtype_from_name(dtype.name()) == dtype);
        from.releases = 0;
      } else if (from.error().find("dtype code") == std::string::npos) {
        FAIL_CHECK("code " << code << ", bits " << bits);
      }
    }
  }
  CHECK(known == 23);
}

TEST_CASE("import: what is wrong is a TensorError that names the field; the owner is left alone") {
  struct Case {
    const char* expected;
    Change change;
  };
  const std::array cases{
      Case{"DLPack: ndim is -1; 0 to 16 are accepted", [](Record& r) { r.record.ndim = -1; }},
      Case{"DLPack: ndim is 17; 0 to 16 are accepted", [](Record& r) { r.record.ndim = 17; }},
      Case{"DLPack: ndim is 2147483647;", [](Record& r) { r.record.ndim = 2147483647; }},
      Case{"DLPack: ndim is -2147483648;", [](Record& r) { r.record.ndim = -2147483647 - 1; }},
      Case{"DLPack: shape is NULL but ndim is 2", [](Record& r) { r.record.shape = nullptr; }},
      Case{"DLPack: shape[1] is -6, less than 0", [](Record& r) { r.shape[1] = -6; }},
      Case{"DLPack: shape[0] is -9223372036854775808", [](Record& r) { r.shape[0] = -kMost - 1; }},
      Case{"DLPack: shape[1] is -1, less than 0", [](Record& r) { r.shape = {0, -1}; }},
      Case{"DLPack: dtype.lanes is 4; 1 is accepted", [](Record& r) { r.record.dtype.lanes = 4; }},
      Case{"DLPack: dtype.lanes is 0; 1 is accepted", [](Record& r) { r.record.dtype.lanes = 0; }},
      Case{"DLPack: dtype code 1 with 4 bits is not accepted; accepted are bool, int, uint, float",
           [](Record& r) { r.record.dtype.bits = 4; }},
      Case{"DLPack: dtype code 1 with 0 bits", [](Record& r) { r.record.dtype.bits = 0; }},
      Case{"DLPack: dtype code 3 with 64 bits", [](Record& r) { r.record.dtype = {3, 64, 1}; }},
      Case{"DLPack: dtype code 2 with 128 bits", [](Record& r) { r.record.dtype = {2, 128, 1}; }},
      Case{"DLPack: dtype code 5 with 32 bits", [](Record& r) { r.record.dtype = {5, 32, 1}; }},
      Case{"DLPack: dtype code 17 with 4 bits", [](Record& r) { r.record.dtype = {17, 4, 1}; }},
      Case{"DLPack: device_type 10 is not accepted; accepted are CPU (1), CUDA (2), pinned (3)",
           [](Record& r) { r.record.device.device_type = dlpack::kRocm; }},
      Case{"DLPack: device_type 0 is",
           [](Record& r) { r.record.device.device_type = dlpack::DeviceType{}; }},
      Case{"DLPack: device_type -1 is",
           [](Record& r) {
             const int type = -1;
             std::memcpy(&r.record.device.device_type, &type, sizeof type);
           }},
      Case{"DLPack: device_id 999 but there are",
           [](Record& r) { r.record.device = {dlpack::kCuda, 999}; }},
      Case{"DLPack: device_id -1 but there are",
           [](Record& r) { r.record.device = {dlpack::kCudaManaged, -1}; }},
      Case{"DLPack: data is NULL but the size is not 0",
           [](Record& r) { r.record.data = nullptr; }},
      Case{"DLPack: data is NULL but the size is not 0",
           [](Record& r) {
             r.record.data = nullptr;
             r.record.byte_offset = 64;
           }},
      Case{"DLPack: strides[0] is 9223372036854775807, more than memory can hold",
           [](Record& r) {
             r.strides[0] = kMost;
             r.record.dtype.bits = 16;
           }},
      Case{"DLPack: shape (4, 6) with its strides is more than memory can hold",
           [](Record& r) { r.strides[0] = kMost / 2; }},
      Case{"DLPack: shape (4, 6) with its strides is more",
           [](Record& r) { r.strides[1] = -kMost - 1; }},
      Case{"DLPack: shape (4, 6) with its strides is more",
           [](Record& r) { r.strides = {kMost / 4, -kMost / 8}; }},
      Case{"DLPack: shape (1099511627776, 1099511627776) with its strides is more",
           [](Record& r) {
             r.shape = {kHuge, kHuge};
             r.record.strides = nullptr;
           }},
      Case{"DLPack: shape (1099511627776, 1099511627776) with its strides is more",
           [](Record& r) {
             r.shape = {kHuge, kHuge};
             r.strides = {0, 0};
           }},
      Case{"DLPack: shape (0, 1099511627776, 1099511627776) with its strides is more",
           [](Record& r) {
             r.record.ndim = 3;
             r.shape = {0, kHuge, kHuge};
           }},
      Case{"DLPack: byte_offset 18446744073709551615 leads out of memory",
           [](Record& r) { r.record.byte_offset = ~std::uint64_t{0}; }},
      Case{"with these strides covers 0 bytes below and",
           [](Record& r) { r.record.data = reinterpret_cast<void*>(-16); }},
      Case{"with these strides covers 9223372036854775797 bytes below and 6 above, which leads out",
           [](Record& r) {
             r.shape[0] = 2;
             r.strides[0] = -kMost + 10;
           }},
      Case{"with these strides covers",
           [](Record& r) {
             r.record.byte_offset = std::uint64_t(kMost) * 2 - 0x800000000000;
             r.strides[0] = kHuge * 64;
           }},
  };
  for (const Case& one : cases) {
    Record from;
    one.change(from);
    const std::string text = from.error();
    CHECK_MESSAGE(text.find(one.expected) != std::string::npos,
                  text << "\n  not: " << one.expected);
  }
  CHECK(Record().error("HWC") ==
        "DLPack: layout \"HWC\" has 3 letters, the array has 2 dimensions");
}

TEST_CASE("import: array interfaces count strides in bytes, and are checked as much") {
  Record from;
  ForeignArray good;
  good.data = from.bytes.data();
  good.ndim = 2;
  good.shape = from.shape.data();
  good.strides = from.strides.data();
  good.dtype = i16;
  from.strides = {12, 2};
  CHECK(error_of(good) == "");
  const auto with = [&](auto change) {
    ForeignArray array = good;
    change(array);
    return error_of(array);
  };
  from.strides = {12, 3};
  CHECK(error_of(good) == "as_tensor: strides[1] is 3 bytes, no multiple of the item's 2");
  from.strides = {-7, 2};
  CHECK(error_of(good) == "as_tensor: strides[0] is -7 bytes, no multiple of the item's 2");
  from.shape[0] = 1;
  CHECK(error_of(good) == "");
  from.shape[0] = 0;
  from.strides = {3, 3};
  CHECK(error_of(good) == "");
  from.shape[0] = 4;
  from.strides = {12, 2};
  CHECK(with([](auto& a) { a.ndim = 17; }) == "as_tensor: ndim is 17; 0 to 16 are accepted");
  CHECK(with([](auto& a) { a.ndim = -1; }) == "as_tensor: ndim is -1; 0 to 16 are accepted");
  CHECK(with([](auto& a) { a.shape = nullptr; }) == "as_tensor: shape is NULL but ndim is 2");
  CHECK(with([](auto& a) { a.dtype = {DtypeCode::int_, 0}; }).find("dtype code 0 with 0 bits") !=
        std::string::npos);
  CHECK(with([](auto& a) { a.dtype = {DtypeCode::int_, 4}; }).find("dtype code 0 with 4 bits") !=
        std::string::npos);
  CHECK(with([](auto& a) { a.data = nullptr; }) == "as_tensor: data is NULL but the size is not 0");
}

TEST_CASE("import: an array of another device's memory is not believed") {
  if (device_count() == 0) return;
  Record from;
  from.record.device = {dlpack::kCuda, 0};
  CHECK(from.error().find("is host memory") != std::string::npos);
}

TEST_CASE(
    "export: the memory lives until the deleter ran, on any thread; then it is given back once") {
  Record from;
  const Stream stream = new_stream();
  for (const bool versioned : {false, true}) {
    from.releases = 0;
    std::vector<std::function<void()>> deleters;
    {
      const Tensor tensor = from.wrap().slice(0, 1, 3);
      for (int i = 0; i < 4; ++i) {
        if (versioned) {
          deleters.emplace_back(
              [managed = to_dlpack_versioned(tensor)] { managed->deleter(managed); });
        } else {
          deleters.emplace_back([managed = to_dlpack(tensor)] { managed->deleter(managed); });
        }
      }
    }
    CHECK(from.releases == 0);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < 3; ++i) threads.emplace_back(deleters[i]);
    for (auto& thread : threads) thread.join();
    CHECK(from.releases == 0);
    stream.launch(deleters[3]).sync();
    CHECK(from.releases == 1);
  }
}
