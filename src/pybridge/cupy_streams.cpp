// CuPy's current stream: read by the C function that its module offers to others, set by a stream
// object of CuPy's, so that its Python side knows too. It sets that of the GPU that is current.
#include "pybridge/stream_library.hpp"

#include <penstock/device.hpp>

#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

namespace penstock::pybridge {
namespace {

constexpr const char* kReadType = "intptr_t (int)";

class CupyStreams final : public StreamLibrary {
 public:
  CupyStreams(nb::object get, nb::object use, nb::object on, std::intptr_t (*read)(int))
      : get_(std::move(get)),
        use_(std::move(use)),
        on_(std::move(on)),
        read_(read),
        uses_(static_cast<std::size_t>(device_count())) {}

  std::uintptr_t current(int device) override {
    const auto handle = read_ != nullptr
                            ? static_cast<std::uintptr_t>(read_(device))
                            : nb::cast<std::uintptr_t>(nb::object(get_(device)).attr("ptr"));
    if (PyErr_Occurred() != nullptr) throw nb::python_error();
    return handle == 0 ? kLegacyHandle : handle;
  }
  // Handles come again, and so do few of them: each is made once.
  void make_current(int device, std::uintptr_t handle) override {
    nb::object& use = uses_[static_cast<std::size_t>(device)][handle];
    if (!use.is_valid()) use = use_(handle, device);
    call(device, use);
  }
  nb::object save(int device) override { return get_(device); }
  void restore(int device, nb::handle saved) override { call(device, saved.attr("use")); }

 private:
  void call(int device, nb::handle use) {
    if (uses_.size() == 1) {
      use();
    } else {
      on_(device, use);
    }
  }

  nb::object get_;
  nb::object use_;
  nb::object on_;
  std::intptr_t (*read_)(int);
  std::vector<std::unordered_map<std::uintptr_t, nb::object>> uses_;  // of each device
};

std::intptr_t (*find_read())(int) {
  const nb::object module = imported(nb::str("cupy_backends.cuda.stream"));
  const nb::object offered = nb::getattr(module, "__pyx_capi__", nb::none());
  if (PyDict_Check(offered.ptr()) == 0) return nullptr;
  const nb::handle capsule = PyDict_GetItemString(offered.ptr(), "get_stream_ptr");
  if (!capsule.is_valid()) return nullptr;
  if (PyCapsule_IsValid(capsule.ptr(), kReadType) == 0) return nullptr;
  return reinterpret_cast<std::intptr_t (*)(int)>(PyCapsule_GetPointer(capsule.ptr(), kReadType));
}

}  // namespace

std::unique_ptr<StreamLibrary> find_cupy_streams(nb::handle module) {
  const nb::object cuda = nb::getattr(module, "cuda", nb::none());
  const nb::object get = nb::getattr(cuda, "get_current_stream", nb::none());
  if (get.is_none()) return nullptr;
  const nb::object ours = nb::module_::import_("penstock._libraries");
  return std::make_unique<CupyStreams>(get, ours.attr("cupy_use"), ours.attr("cupy_on"),
                                       find_read());
}

}  // namespace penstock::pybridge
