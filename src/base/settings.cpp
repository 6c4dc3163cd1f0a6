#include "base/settings.hpp"

#include "base/throw.hpp"

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace penstock {
namespace {

std::string_view variable(const char* name) {
  const char* value =
      std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read once, before threads
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

std::optional<std::uint64_t> number(const char* name) {
  const std::string_view text = variable(name);
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw_error<Error>("{}: expected a whole number, found \"{}\"", name, text);
  }
  return value;
}

Settings read() {
  Settings settings;
  const auto workers = number("PENSTOCK_WORKERS");
  if (workers && (*workers == 0 || *workers > 1024)) {
    throw_error<Error>("PENSTOCK_WORKERS: expected 1 to 1024, found {}", *workers);
  }
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  settings.workers = workers ? static_cast<int>(*workers) : (cores > 0 ? cores : 1);
  settings.seed = number("PENSTOCK_SEED");

  const std::string_view check = variable("PENSTOCK_CHECK");
  if (check == "order") {
    settings.check = OrderCheck::report;
  } else if (check == "order:raise") {
    settings.check = OrderCheck::raise;
  } else if (!check.empty()) {
    throw_error<Error>("PENSTOCK_CHECK: expected \"order\" or \"order:raise\", found \"{}\"",
                       check);
  }
  const std::string_view fault = variable("PENSTOCK_FAULT");
  if (!fault.empty() && fault != "block_once") {
    throw_error<Error>("PENSTOCK_FAULT: expected \"block_once\", found \"{}\"", fault);
  }
  settings.block_once = fault == "block_once";
  return settings;
}

}  // namespace

const Settings& settings() {
  static const Settings kSettings = read();
  return kSettings;
}

}  // namespace penstock
