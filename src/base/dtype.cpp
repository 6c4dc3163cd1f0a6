#include <penstock/dtype.hpp>

#include "base/nearest.hpp"
#include "base/throw.hpp"

#include <array>
#include <vector>

namespace penstock {
namespace {

struct Named {
  Dtype dtype;
  std::string_view name;
};

constexpr std::array kNamed = {
    Named{b8, "bool"},
    Named{i8, "int8"},
    Named{i16, "int16"},
    Named{i32, "int32"},
    Named{i64, "int64"},
    Named{u8, "uint8"},
    Named{u16, "uint16"},
    Named{u32, "uint32"},
    Named{u64, "uint64"},
    Named{f16, "float16"},
    Named{f32, "float32"},
    Named{f64, "float64"},
    Named{c64, "complex64"},
    Named{c128, "complex128"},
    Named{bf16, "bfloat16"},
    Named{{DtypeCode::float8_e3m4, 8}, "float8_e3m4"},
    Named{{DtypeCode::float8_e4m3, 8}, "float8_e4m3"},
    Named{{DtypeCode::float8_e4m3b11fnuz, 8}, "float8_e4m3b11fnuz"},
    Named{{DtypeCode::float8_e4m3fn, 8}, "float8_e4m3fn"},
    Named{{DtypeCode::float8_e4m3fnuz, 8}, "float8_e4m3fnuz"},
    Named{{DtypeCode::float8_e5m2, 8}, "float8_e5m2"},
    Named{{DtypeCode::float8_e5m2fnuz, 8}, "float8_e5m2fnuz"},
    Named{{DtypeCode::float8_e8m0fnu, 8}, "float8_e8m0fnu"},
};

}  // namespace

std::string_view Dtype::name() const {
  for (const Named& named : kNamed) {
    if (named.dtype == *this) return named.name;
  }
  return "unknown";
}

bool is_known(Dtype dtype) {
  const int bits = dtype.bits;
  switch (dtype.code) {
    case DtypeCode::int_:
    case DtypeCode::uint:
      return bits == 8 || bits == 16 || bits == 32 || bits == 64;
    case DtypeCode::float_:
      return bits == 16 || bits == 32 || bits == 64;
    case DtypeCode::complex:
      return bits == 64 || bits == 128;
    case DtypeCode::bfloat:
      return bits == 16;
    case DtypeCode::bool_:
      return bits == 8;
    default:
      return bits == 8 && dtype.code >= DtypeCode::float8_e3m4 &&
             dtype.code <= DtypeCode::float8_e8m0fnu;
  }
}

Dtype dtype_from_name(std::string_view name) {
  for (const Named& named : kNamed) {
    if (named.name == name) return named.dtype;
  }
  std::vector<std::string_view> names;
  names.reserve(kNamed.size());
  for (const Named& named : kNamed) names.push_back(named.name);
  throw_error<TensorError>("dtype: unknown name \"{}\"; did you mean \"{}\"?", name,
                           nearest(name, names));
}

}  // namespace penstock
