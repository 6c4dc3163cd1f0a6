#include "arguments.hpp"
#include "bind.hpp"

#include <penstock/memory.hpp>

namespace penstock::pybridge {
namespace {

nb::dict stats_of(nb::handle device) {
  const memory::Stats stats = memory::stats(device_from(device));
  nb::dict all;
  all["hits"] = stats.hits;
  all["misses"] = stats.misses;
  all["bytes_live"] = stats.bytes_live;
  all["bytes_idle"] = stats.bytes_idle;
  all["bytes_peak"] = stats.bytes_peak;
  all["blocks"] = stats.blocks;
  all["waits"] = stats.waits;
  all["steals"] = stats.steals;
  all["evictions"] = stats.evictions;
  return all;
}

nb::list snapshot_of(nb::handle device) {
  nb::list blocks;
  for (const memory::BlockInfo& info : memory::snapshot(device_from(device))) {
    nb::dict block;
    block["address"] = info.address;
    block["bytes"] = info.bytes;
    block["live"] = info.is_live;
    blocks.append(block);
  }
  return blocks;
}

void refuse_negative(const char* where, std::int64_t bytes) {
  if (bytes < 0) {
    throw nb::value_error(
        (std::string(where) + ": " + std::to_string(bytes) + " bytes is negative").c_str());
  }
}

}  // namespace

void bind_memory(nb::module_& module) {
  module.def("memory_limit", [](nb::handle d) { return memory::limit(device_from(d)); },
             nb::arg("device").none() = nb::none());
  module.def("memory_set_limit", [](std::int64_t bytes, nb::handle d) {
    refuse_negative("set_limit", bytes);
    const Device device = device_from(d);
    const nb::gil_scoped_release release;
    memory::set_limit(bytes, device);
  }, nb::arg("n"), nb::arg("device").none() = nb::none());
  module.def("memory_stats", &stats_of, nb::arg("device").none() = nb::none(),
             nb::sig("def memory_stats(device: typing.Any = None) -> dict[str, int]"));
  module.def("memory_clear", [](nb::handle d) {
    const Device device = device_from(d);
    const nb::gil_scoped_release release;
    memory::clear(device);
  }, nb::arg("device").none() = nb::none());
  module.def("memory_trim", [](std::int64_t bytes, nb::handle d) {
    refuse_negative("trim", bytes);
    const Device device = device_from(d);
    const nb::gil_scoped_release release;
    memory::trim(bytes, device);
  }, nb::arg("bytes") = 0, nb::arg("device").none() = nb::none());
  module.def("memory_reset_peak", [](nb::handle d) { memory::reset_peak(device_from(d)); },
             nb::arg("device").none() = nb::none());
  module.def("memory_snapshot", &snapshot_of, nb::arg("device").none() = nb::none(),
             nb::sig("def memory_snapshot(device: typing.Any = None) -> list[dict[str, typing.Any]]"));
}

}  // namespace penstock::pybridge
