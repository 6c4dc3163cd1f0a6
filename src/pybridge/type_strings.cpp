#include "pybridge/type_strings.hpp"

#include "base/throw.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace penstock::pybridge {
namespace {

// Formats of the struct module, with the type that each means and the sizes that it has: the
// machine's, and the standard one where that is another.
struct Format {
  std::string_view name;
  DtypeCode code;
  std::int64_t native_bytes;
  std::int64_t standard_bytes;
};
constexpr std::array kFormats = {
    Format{"?", DtypeCode::bool_, 1, 1},    Format{"b", DtypeCode::int_, 1, 1},
    Format{"h", DtypeCode::int_, 2, 2},     Format{"i", DtypeCode::int_, 4, 4},
    Format{"l", DtypeCode::int_, 8, 4},     Format{"q", DtypeCode::int_, 8, 8},
    Format{"n", DtypeCode::int_, 8, 8},     Format{"B", DtypeCode::uint, 1, 1},
    Format{"H", DtypeCode::uint, 2, 2},     Format{"I", DtypeCode::uint, 4, 4},
    Format{"L", DtypeCode::uint, 8, 4},     Format{"Q", DtypeCode::uint, 8, 8},
    Format{"N", DtypeCode::uint, 8, 8},     Format{"e", DtypeCode::float_, 2, 2},
    Format{"f", DtypeCode::float_, 4, 4},   Format{"d", DtypeCode::float_, 8, 8},
    Format{"Zf", DtypeCode::complex, 8, 8}, Format{"Zd", DtypeCode::complex, 16, 16},
    Format{"F", DtypeCode::complex, 8, 8},  Format{"D", DtypeCode::complex, 16, 16},
};

constexpr std::array<std::pair<Dtype, const char*>, 14> kExported = {{
    {b8, "?"},
    {i8, "b"},
    {i16, "h"},
    {i32, "i"},
    {i64, "l"},
    {u8, "B"},
    {u16, "H"},
    {u32, "I"},
    {u64, "L"},
    {f16, "e"},
    {f32, "f"},
    {f64, "d"},
    {c64, "Zf"},
    {c128, "Zd"},
}};

char kind_of(Dtype dtype) {
  switch (dtype.code) {
    case DtypeCode::bool_:
      return 'b';
    case DtypeCode::int_:
      return 'i';
    case DtypeCode::uint:
      return 'u';
    case DtypeCode::float_:
      return 'f';
    case DtypeCode::complex:
      return 'c';
    default:
      return '\0';
  }
}

bool code_of(char kind, DtypeCode& code) {
  for (const auto& [dtype, format] : kExported) {
    if (kind_of(dtype) != kind) continue;
    code = dtype.code;
    return true;
  }
  return false;
}

}  // namespace

Dtype dtype_from_typestr(const char* where, std::string_view typestr) {
  int size = 0;
  DtypeCode code{};
  const bool is_shaped =
      typestr.size() >= 3 && std::string_view("<>|=").find(typestr[0]) != std::string_view::npos;
  const bool has_size =
      is_shaped && std::from_chars(typestr.data() + 2, typestr.data() + typestr.size(), size).ptr ==
                       typestr.data() + typestr.size();
  if (!has_size || !code_of(typestr[1], code) || size < 1 || size > 16) {
    throw_error<TensorError>(
        "{}: typestr \"{}\" is not accepted; accepted are bool, int, uint, float and complex, such "
        "as "
        "\"|u1\" or \"<f4\"",
        where, typestr);
  }
  const Dtype dtype{code, static_cast<std::uint8_t>(size * 8)};
  if (typestr[0] == '>' && size > 1) {
    throw_error<TensorError>("{}: typestr \"{}\" is big-endian; use little-endian data", where,
                             typestr);
  }
  if (!is_known(dtype)) {
    throw_error<TensorError>("{}: typestr \"{}\" has a size that is not accepted", where, typestr);
  }
  return dtype;
}

Dtype dtype_from_format(std::string_view format, std::int64_t itemsize) {
  std::string_view bare = format;
  const char order = bare.empty() ? '@' : bare[0];
  const bool is_big = order == '>' || order == '!';
  const bool is_standard = is_big || order == '<' || order == '=';
  if (!bare.empty() && (is_standard || order == '@')) bare.remove_prefix(1);
  for (const Format& known : kFormats) {
    if (bare != known.name) continue;
    if (itemsize != known.native_bytes && !(is_standard && itemsize == known.standard_bytes)) break;
    if (is_big && itemsize > 1) {
      throw_error<ExchangeError>(
          "as_tensor: buffer format \"{}\" is big-endian; use little-endian data", format);
    }
    return {known.code, static_cast<std::uint8_t>(itemsize * 8)};
  }
  throw_error<ExchangeError>(
      "as_tensor: buffer format \"{}\" with items of {} bytes is not accepted; accepted are bool, "
      "int, "
      "uint, float and complex, such as \"B\" or \"f\"",
      format, itemsize);
}

std::string typestr_of(Dtype dtype) {
  const char kind = kind_of(dtype);
  if (kind == '\0') return {};
  return fmt::format("{}{}{}", dtype.itemsize() == 1 ? '|' : '<', kind, dtype.itemsize());
}

const char* format_of(Dtype dtype) {
  for (const auto& [known, format] : kExported) {
    if (known == dtype) return format;
  }
  return nullptr;
}

}  // namespace penstock::pybridge
