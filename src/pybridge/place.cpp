#include "pybridge/place.hpp"

#include "pybridge/python.hpp"

#include <fmt/format.h>

namespace penstock::pybridge {
namespace {

// The innermost frame that is not in this package.
std::string place() {
  nb::object frame = nb::borrow(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame.is_valid() && !frame.is_none()) {
    const auto module = nb::cast<std::string>(
        nb::str(nb::handle(frame.attr("f_globals")).attr("get")("__name__", "")));
    if (!module.starts_with("penstock.") && module != "penstock") {
      return fmt::format("{}:{}", nb::cast<std::string>(frame.attr("f_code").attr("co_filename")),
                         nb::cast<int>(frame.attr("f_lineno")));
    }
    frame = frame.attr("f_back");
  }
  return {};
}

}  // namespace

order::check::Tag place_tag(std::string what) {
  return {std::move(what), place(), order::check::label()};
}

}  // namespace penstock::pybridge
