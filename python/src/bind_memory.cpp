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

// Any whole number: what 64 bits can't hold is no bound.
std::int64_t bytes_from(nb::handle object, const char* where) {
  try {
    const std::int64_t bytes = integer_from(object, where);
    if (bytes >= 0) return bytes;
  } catch (const TensorError&) {
    if (PyObject_RichCompareBool(object.ptr(), nb::int_(0).ptr(), Py_GT) == 1) return INT64_MAX;
  }
  throw nb::value_error(
      (std::string(where) + ": " + nb::repr(object).c_str() + " bytes is negative").c_str());
}

}  // namespace

void bind_memory(nb::module_& module) {
  module.def(
      "memory_limit", [](nb::handle d) { return memory::limit(device_from(d)); },
      nb::arg("device").none() = nb::none(),
      nb::sig("def memory_limit(device: typing.Any = None) -> int"),
      "The bound on live + idle bytes.");
  module.def(
      "memory_set_limit",
      [](nb::handle n, nb::handle d) {
        const std::int64_t bytes = bytes_from(n, "set_limit");
        const Device device = device_from(d);
        const ReleaseGil release;
        memory::set_limit(bytes, device);
      },
      nb::arg("n").none(), nb::arg("device").none() = nb::none(),
      nb::sig("def memory_set_limit(n: int, device: typing.Any = None) -> None"),
      "Bounds live + idle bytes; idle blocks beyond it are evicted. 0 keeps nothing.");
  module.def("memory_stats", &stats_of, nb::arg("device").none() = nb::none(),
             nb::sig("def memory_stats(device: typing.Any = None) -> dict[str, int]"),
             "What the cache did and holds; bytes are those of size classes.");
  module.def(
      "memory_clear",
      [](nb::handle d) {
        const Device device = device_from(d);
        const ReleaseGil release;
        memory::clear(device);
      },
      nb::arg("device").none() = nb::none(),
      nb::sig("def memory_clear(device: typing.Any = None) -> None"),
      "Drops idle blocks; live ones leave the count and are freed when dropped.");
  module.def(
      "memory_trim",
      [](nb::handle most, nb::handle d) {
        const std::int64_t bytes = bytes_from(most, "trim");
        const Device device = device_from(d);
        const ReleaseGil release;
        memory::trim(bytes, device);
      },
      nb::arg("bytes").none() = 0, nb::arg("device").none() = nb::none(),
      nb::sig("def memory_trim(bytes: int = 0, device: typing.Any = None) -> None"),
      "Evicts idle blocks until at most so many bytes are idle.");
  module.def(
      "memory_reset_peak", [](nb::handle d) { memory::reset_peak(device_from(d)); },
      nb::arg("device").none() = nb::none(),
      nb::sig("def memory_reset_peak(device: typing.Any = None) -> None"),
      "bytes_peak begins anew.");
  module.def(
      "memory_snapshot", &snapshot_of, nb::arg("device").none() = nb::none(),
      nb::sig("def memory_snapshot(device: typing.Any = None) -> list[dict[str, typing.Any]]"),
      "Who holds what: one entry for each block.");
}

}  // namespace penstock::pybridge
