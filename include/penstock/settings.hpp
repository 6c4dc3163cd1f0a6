// Settings of operators by name: given where an operator is used, read in its setup(). Plain
// values; a reader belongs to one thread.
#pragma once

#include <penstock/export.hpp>

#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace penstock {

using SettingValue = std::variant<bool, std::int64_t, double, std::string,
                                  std::vector<std::int64_t>, std::vector<double>>;

/// A setting's name and value: Setting{"gain", 3.0}.
struct Setting {
  std::string name;
  SettingValue value;
};

/// Reads settings into members, and knows which of those given nobody asked for.
class PENSTOCK_API SettingReader {
 public:
  /// `owner` is the operator's name, for messages.
  SettingReader(std::string owner, std::span<const Setting> given);

  /// Sets the member to what was given, else to the default. GraphError for another type.
  template <class T>
  void param(T& member, std::string_view name, std::type_identity_t<T> fallback) {
    if (!read(member, name)) member = std::move(fallback);
  }
  /// The same for one that must be given.
  template <class T>
  void param(T& member, std::string_view name) {
    if (!read(member, name)) refuse_missing(name);
  }
  /// GraphError for a setting that was given and not read, with the nearest that there is.
  void check_all_read() const;
  [[nodiscard]] const std::string& owner() const { return owner_; }

 private:
  template <class T>
  bool read(T& member, std::string_view name) {
    const SettingValue* value = find(name);
    if (value == nullptr) return false;
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string> ||
                  std::is_same_v<T, std::vector<std::int64_t>>) {
      const T* found = std::get_if<T>(value);
      if (found == nullptr) refuse_type(name, *value, word_for<T>());
      member = *found;
    } else if constexpr (std::integral<T>) {
      const auto* found = std::get_if<std::int64_t>(value);
      if (found == nullptr) refuse_type(name, *value, "an integer");
      if (!std::in_range<T>(*found)) refuse_range(name, *found);
      member = static_cast<T>(*found);
    } else if constexpr (std::floating_point<T>) {
      member = static_cast<T>(read_number(name, *value));
    } else {
      static_assert(std::is_same_v<T, std::vector<double>>,
                    "a setting is a bool, a number, a std::string, or a vector of std::int64_t or "
                    "double");
      member = read_numbers(name, *value);
    }
    return true;
  }
  template <class T>
  static constexpr const char* word_for() {
    if constexpr (std::is_same_v<T, bool>) return "true or false";
    if constexpr (std::is_same_v<T, std::string>) return "a string";
    return "a list of integers";
  }
  /// Notes that there is a setting of that name; nullptr if it was not given.
  [[nodiscard]] const SettingValue* find(std::string_view name);
  [[nodiscard]] double read_number(std::string_view name, const SettingValue& value) const;
  [[nodiscard]] std::vector<double> read_numbers(std::string_view name,
                                                 const SettingValue& value) const;
  [[noreturn]] void refuse_type(std::string_view name, const SettingValue& value,
                                const char* expected) const;
  [[noreturn]] void refuse_range(std::string_view name, std::int64_t value) const;
  [[noreturn]] void refuse_missing(std::string_view name) const;

  std::string owner_;
  std::vector<Setting> given_;
  std::vector<std::string> known_;
};

}  // namespace penstock
