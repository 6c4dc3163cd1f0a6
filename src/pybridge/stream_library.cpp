#include "pybridge/stream_library.hpp"

#include "pybridge/names.hpp"

#include <array>
#include <vector>

namespace penstock::pybridge {
namespace {

struct Known {
  nb::str name;
  std::unique_ptr<StreamLibrary> (*find)(nb::handle module);
  const char* watch;
  StreamLibrary* found = nullptr;
  bool is_refused = false;  // it is there, but can't work on a GPU
};

constexpr std::size_t kTorch = 0;
constexpr std::size_t kCupy = 1;

struct Libraries {
  std::array<Known, 2> known{{{nb::str("torch"), find_torch_streams, "watch_torch"},
                              {nb::str("cupy"), find_cupy_streams, "watch_cupy"}}};
  std::vector<std::unique_ptr<StreamLibrary>> found;
};

Libraries& all() {
  static auto* libraries = new Libraries;
  return *libraries;
}

}  // namespace

Ref<order::Stream> current_stream_of(StreamLibrary& library, Device device) {
  auto stream = order::Stream::wrap(device, library.current(device.index));
  if (!stream->is_lasting() && library.lasts(device.index)) stream->make_lasting();
  return stream;
}

StreamLibrary* torch_streams() {
  return stream_libraries().empty() ? nullptr : all().known[kTorch].found;
}

std::uintptr_t current_cupy_stream(int device) {
  if (stream_libraries().empty() || all().known[kCupy].found == nullptr) return kLegacyHandle;
  return all().known[kCupy].found->current(device);
}

nb::object imported(const nb::str& name) {
  // PyImport_GetModule would wait for an import that another thread is in.
  PyObject* module = PyDict_GetItem(PyImport_GetModuleDict(), name.ptr());
  return module == nullptr ? nb::none() : nb::borrow(module);
}

bool uses_legacy_stream() {
  static const auto* name = new nb::str("numba.cuda");
  static bool is_found = false;
  if (!is_found) is_found = !imported(*name).is_none();
  return is_found;
}

std::span<const std::unique_ptr<StreamLibrary>> stream_libraries() {
  Libraries* const libraries = &all();
  if (libraries->found.size() == libraries->known.size()) return libraries->found;
  for (Known& known : libraries->known) {
    if (known.found != nullptr || known.is_refused) continue;
    const nb::object module = imported(known.name);
    if (module.is_none()) continue;
    std::unique_ptr<StreamLibrary> library;
    try {
      library = known.find(module);
      if (!library) continue;  // it is being imported, or was built without CUDA
      static_cast<void>(library->current(0));
    } catch (const std::exception&) {
      known.is_refused = true;  // its CUDA and this driver don't fit
      continue;
    }
    nb::module_::import_("penstock._libraries").attr(known.watch)(module);
    known.found = library.get();
    libraries->found.push_back(std::move(library));
  }
  return libraries->found;
}

}  // namespace penstock::pybridge
