#include "pybridge/type_strings.hpp"

#include "base/throw.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace penstock::pybridge {
namespace {

// Formats of the struct module with the type that each means in native size.
constexpr std::array<std::pair<std::string_view, DtypeCode>, 16> kFormats = {{
    {"?", DtypeCode::bool_},   {"b", DtypeCode::int_},    {"h", DtypeCode::int_},
    {"i", DtypeCode::int_},    {"l", DtypeCode::int_},    {"q", DtypeCode::int_},
    {"n", DtypeCode::int_},    {"B", DtypeCode::uint},    {"H", DtypeCode::uint},
    {"I", DtypeCode::uint},    {"L", DtypeCode::uint},    {"Q", DtypeCode::uint},
    {"N", DtypeCode::uint},    {"e", DtypeCode::float_},  {"f", DtypeCode::float_},
    {"d", DtypeCode::float_},
}};

constexpr std::array<std::pair<Dtype, const char*>, 14> kExported = {{
    {b8, "?"},  {i8, "b"},  {i16, "h"}, {i32, "i"}, {i64, "q"},  {u8, "B"},    {u16, "H"},
    {u32, "I"}, {u64, "Q"}, {f16, "e"}, {f32, "f"}, {f64, "d"}, {c64, "Zf"}, {c128, "Zd"},
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
  const bool is_shaped = typestr.size() >= 3;
  const bool has_size =
      is_shaped && std::from_chars(typestr.data() + 2, typestr.data() + typestr.size(), size).ptr ==
                       typestr.data() + typestr.size();
  if (!has_size || !code_of(typestr[1], code) || size < 1 || size > 16) {
    throw_error<TensorError>(
        "{}: typestr \"{}\" is not accepted; accepted are bool, int, uint, float and complex, such as "
        "\"|u1\" or \"<f4\"",
        where, typestr);
  }
  const Dtype dtype{code, static_cast<std::uint8_t>(size * 8)};
  if (typestr[0] == '>' && size > 1) {
    throw_error<TensorError>("{}: typestr \"{}\" is big-endian; use little-endian data", where, typestr);
  }
  if (!is_known(dtype)) {
    throw_error<TensorError>("{}: typestr \"{}\" has a size that is not accepted", where, typestr);
  }
  return dtype;
}

Dtype dtype_from_format(std::string_view format, std::int64_t itemsize) {
  std::string_view bare = format;
  if (!bare.empty() && (bare[0] == '@' || bare[0] == '=' || bare[0] == '<' ||
                        (bare[0] == '>' && itemsize == 1))) {
    bare.remove_prefix(1);
  }
  const auto bits = static_cast<std::uint8_t>(itemsize * 8);
  if (bare == "Zf" || bare == "Zd") return {DtypeCode::complex, bits};
  for (const auto& [name, code] : kFormats) {
    if (bare == name && is_known({code, bits})) return {code, bits};
  }
  throw_error<TensorError>(
      "as_tensor: buffer format \"{}\" with items of {} bytes is not accepted; accepted are bool, int, "
      "uint, float and complex",
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
