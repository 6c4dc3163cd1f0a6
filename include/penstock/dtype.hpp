// Element types, coded as DLPack codes them. A plain value, two bytes.
#pragma once

#include <penstock/export.hpp>

#include <cstdint>
#include <string_view>

namespace penstock {

/// What an element is. The numbers are DLPack's type codes (1.3).
enum class DtypeCode : std::uint8_t {
  int_ = 0,
  uint = 1,
  float_ = 2,
  bfloat = 4,
  complex = 5,
  bool_ = 6,
  float8_e3m4 = 7,
  float8_e4m3 = 8,
  float8_e4m3b11fnuz = 9,
  float8_e4m3fn = 10,
  float8_e4m3fnuz = 11,
  float8_e5m2 = 12,
  float8_e5m2fnuz = 13,
  float8_e8m0fnu = 14,
};

/// The type of a tensor's elements.
struct Dtype {
  DtypeCode code = DtypeCode::uint;
  std::uint8_t bits = 8;

  /// Bytes of one element.
  [[nodiscard]] constexpr std::int64_t itemsize() const { return bits / 8; }
  /// NumPy's name where NumPy has the type ("uint8", "complex64"), else that of ml_dtypes.
  [[nodiscard]] PENSTOCK_API std::string_view name() const;
  friend constexpr bool operator==(Dtype, Dtype) = default;
};

/// True when the code and the width are a type that Penstock knows.
[[nodiscard]] PENSTOCK_API bool is_known(Dtype dtype);
/// The type of that name. Throws TensorError that names the nearest known one.
[[nodiscard]] PENSTOCK_API Dtype dtype_from_name(std::string_view name);

inline constexpr Dtype b8{DtypeCode::bool_, 8};
inline constexpr Dtype i8{DtypeCode::int_, 8};
inline constexpr Dtype i16{DtypeCode::int_, 16};
inline constexpr Dtype i32{DtypeCode::int_, 32};
inline constexpr Dtype i64{DtypeCode::int_, 64};
inline constexpr Dtype u8{DtypeCode::uint, 8};
inline constexpr Dtype u16{DtypeCode::uint, 16};
inline constexpr Dtype u32{DtypeCode::uint, 32};
inline constexpr Dtype u64{DtypeCode::uint, 64};
inline constexpr Dtype f16{DtypeCode::float_, 16};
inline constexpr Dtype f32{DtypeCode::float_, 32};
inline constexpr Dtype f64{DtypeCode::float_, 64};
inline constexpr Dtype bf16{DtypeCode::bfloat, 16};
inline constexpr Dtype c64{DtypeCode::complex, 64};
inline constexpr Dtype c128{DtypeCode::complex, 128};

}  // namespace penstock
