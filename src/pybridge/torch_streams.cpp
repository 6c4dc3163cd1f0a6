// PyTorch's current stream: by the C++ functions of the library that is loaded, else by its Python.
#include "pybridge/stream_library.hpp"

#include <dlfcn.h>

namespace penstock::pybridge {
namespace {

constexpr int kCudaDeviceType = 1;

// c10::Stream: two bytes for the device, then the number. Streams that are not PyTorch's have their
// handle for a number, the default one 0.
struct NativeStream {
  std::int8_t device_type;
  std::int8_t device;
  std::int64_t id;
};

struct NativeFunctions {
  NativeStream (*get)(std::int8_t device) = nullptr;
  void (*set)(NativeStream stream) = nullptr;
  void* (*handle)(const NativeStream* stream) = nullptr;

  [[nodiscard]] static NativeFunctions find() {
    NativeFunctions found;
    void* library = dlopen("libc10_cuda.so", RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) return found;
    found.get =
        reinterpret_cast<decltype(get)>(dlsym(library, "_ZN3c104cuda20getCurrentCUDAStreamEa"));
    found.set = reinterpret_cast<decltype(set)>(
        dlsym(library, "_ZN3c104cuda20setCurrentCUDAStreamENS0_10CUDAStreamE"));
    found.handle =
        reinterpret_cast<decltype(handle)>(dlsym(library, "_ZNK3c104cuda10CUDAStream6streamEv"));
    if (found.get == nullptr || found.set == nullptr || found.handle == nullptr) return {};
    return found;
  }
};

std::uintptr_t or_legacy(std::uintptr_t handle) { return handle == 0 ? kLegacyHandle : handle; }
std::int64_t id_of(std::uintptr_t handle) {
  return handle == kLegacyHandle ? 0 : static_cast<std::int64_t>(handle);
}

class TorchStreams final : public StreamLibrary {
 public:
  TorchStreams(nb::object get, nb::object set, nb::object handle)
      : get_(std::move(get)), set_(std::move(set)), handle_(std::move(handle)) {
    native_ = NativeFunctions::find();
    // The layout is the library's own affair: believed only if both ways say the same.
    if (native_.get != nullptr && !agrees()) native_ = {};
  }

  std::uintptr_t current(int device) override {
    if (native_.get == nullptr) return or_legacy(nb::cast<std::uintptr_t>(handle_(device)));
    const NativeStream stream = native_.get(static_cast<std::int8_t>(device));
    return or_legacy(reinterpret_cast<std::uintptr_t>(native_.handle(&stream)));
  }
  bool is_current(int device, std::uintptr_t handle) override {
    if (native_.get == nullptr) return current(device) == handle;
    return native_.get(static_cast<std::int8_t>(device)).id == id_of(handle);
  }
  // PyTorch's own are a pool; a stream of somebody else has its handle for an id.
  bool lasts(int device) override {
    const std::int64_t id = this->id(device);
    return id != 0 && id != static_cast<std::int64_t>(current(device));
  }
  void make_current(int device, std::uintptr_t handle) override { set(device, id_of(handle)); }
  nb::object save(int device) override { return nb::int_(id(device)); }
  void restore(int device, nb::handle saved) override {
    set(device, nb::cast<std::int64_t>(saved));
  }

 private:
  [[nodiscard]] std::int64_t python_id(int device) const {
    return nb::cast<std::int64_t>(nb::object(get_(device))[0]);
  }
  [[nodiscard]] std::int64_t id(int device) const {
    return native_.get == nullptr ? python_id(device)
                                  : native_.get(static_cast<std::int8_t>(device)).id;
  }
  void set(int device, std::int64_t id) {
    if (native_.set != nullptr) {
      native_.set({kCudaDeviceType, static_cast<std::int8_t>(device), id});
      return;
    }
    set_(nb::arg("stream_id") = id, nb::arg("device_index") = device,
         nb::arg("device_type") = kCudaDeviceType);
  }
  [[nodiscard]] bool agrees() const {
    const NativeStream stream = native_.get(0);
    const auto handle = reinterpret_cast<std::uintptr_t>(native_.handle(&stream));
    return stream.device_type == kCudaDeviceType && stream.device == 0 &&
           stream.id == python_id(0) && handle == nb::cast<std::uintptr_t>(handle_(0));
  }

  nb::object get_;
  nb::object set_;
  nb::object handle_;
  NativeFunctions native_;
};

}  // namespace

std::unique_ptr<StreamLibrary> find_torch_streams(nb::handle module) {
  const nb::object core = nb::getattr(module, "_C", nb::none());
  const nb::object get = nb::getattr(core, "_cuda_getCurrentStream", nb::none());
  const nb::object set = nb::getattr(core, "_cuda_setStream", nb::none());
  const nb::object handle = nb::getattr(core, "_cuda_getCurrentRawStream", nb::none());
  if (get.is_none() || set.is_none() || handle.is_none()) return nullptr;
  return std::make_unique<TorchStreams>(get, set, handle);
}

}  // namespace penstock::pybridge
