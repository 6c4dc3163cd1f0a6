#include <penstock/settings.hpp>

#include "base/nearest.hpp"
#include "base/throw.hpp"

#include <algorithm>

namespace penstock {
namespace {

struct Describer {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return fmt::format("\"{}\"", value); }
  template <class T>
  std::string operator()(const std::vector<T>& value) const {
    return fmt::format("a list of {} numbers", value.size());
  }
};

std::string describe(const SettingValue& value) { return std::visit(Describer{}, value); }

}  // namespace

SettingReader::SettingReader(std::string owner, std::span<const Setting> given)
    : owner_(std::move(owner)), given_(given.begin(), given.end()) {}

const SettingValue* SettingReader::find(std::string_view name) {
  known_.emplace_back(name);
  const auto found = std::ranges::find(given_, name, &Setting::name);
  return found == given_.end() ? nullptr : &found->value;
}

void SettingReader::check_all_read() const {
  for (const Setting& setting : given_) {
    if (std::ranges::find(known_, setting.name) != known_.end()) continue;
    const std::vector<std::string_view> names(known_.begin(), known_.end());
    const std::string_view near = nearest(setting.name, names);
    throw_error<GraphError>(
        "{}: no setting \"{}\"; {}", owner_, setting.name,
        near.empty() ? std::string("it has none") : fmt::format("did you mean \"{}\"?", near));
  }
}

double SettingReader::read_number(std::string_view name, const SettingValue& value) const {
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  refuse_type(name, value, "a number");
}

std::vector<double> SettingReader::read_numbers(std::string_view name,
                                                const SettingValue& value) const {
  if (const auto* reals = std::get_if<std::vector<double>>(&value)) return *reals;
  if (const auto* wholes = std::get_if<std::vector<std::int64_t>>(&value)) {
    return {wholes->begin(), wholes->end()};
  }
  refuse_type(name, value, "a list of numbers");
}

void SettingReader::refuse_type(std::string_view name, const SettingValue& value,
                                const char* expected) const {
  throw_error<GraphError>("{}: setting \"{}\" is {}; expected {}", owner_, name, describe(value),
                          expected);
}
void SettingReader::refuse_range(std::string_view name, std::int64_t value) const {
  throw_error<GraphError>("{}: setting \"{}\" is {}, which its type does not hold", owner_, name,
                          value);
}
void SettingReader::refuse_missing(std::string_view name) const {
  throw_error<GraphError>("{}: setting \"{}\" is required; give it a value", owner_, name);
}

}  // namespace penstock
