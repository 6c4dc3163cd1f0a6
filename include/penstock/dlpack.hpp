// DLPack's binary interface, version 1.3, declared here so that no header has to be found at build
// time. Names and layout are the standard's; a test holds them against the official header.
// Source: DLPack 1.3 (dmlc/dlpack), https://dmlc.github.io/dlpack/latest/
#pragma once

#include <cstdint>

namespace penstock::dlpack {

inline constexpr std::uint32_t kMajorVersion = 1;
inline constexpr std::uint32_t kMinorVersion = 3;

/// DLPackVersion
struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

/// DLDeviceType
enum DeviceType : std::int32_t {
  kCpu = 1,
  kCuda = 2,
  kCudaHost = 3,
  kRocm = 10,
  kRocmHost = 11,
  kCudaManaged = 13,
};

/// DLDevice
struct DeviceRecord {
  DeviceType device_type;
  std::int32_t device_id;
};

/// DLDataType
struct DataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

/// DLTensor
struct TensorRecord {
  void* data;
  DeviceRecord device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};

/// DLManagedTensor
struct Managed {
  TensorRecord dl_tensor;
  void* manager_ctx;
  void (*deleter)(Managed* self);
};

inline constexpr std::uint64_t kFlagReadOnly = 1u << 0;
inline constexpr std::uint64_t kFlagIsCopied = 1u << 1;
inline constexpr std::uint64_t kFlagSubbytePadded = 1u << 2;

/// DLManagedTensorVersioned
struct ManagedVersioned {
  Version version;
  void* manager_ctx;
  void (*deleter)(ManagedVersioned* self);
  std::uint64_t flags;
  TensorRecord dl_tensor;
};

struct ExchangeApi;

/// DLPackExchangeAPIHeader
struct ExchangeApiHeader {
  Version version;
  ExchangeApiHeader* prev_api;
};

using SetError = void (*)(void* error_ctx, const char* kind, const char* message);

/// DLPackExchangeAPI
struct ExchangeApi {
  ExchangeApiHeader header;
  int (*managed_tensor_allocator)(TensorRecord* prototype, ManagedVersioned** out, void* error_ctx,
                                  SetError set_error);
  int (*managed_tensor_from_py_object_no_sync)(void* py_object, ManagedVersioned** out);
  int (*managed_tensor_to_py_object_no_sync)(ManagedVersioned* tensor, void** out_py_object);
  int (*dltensor_from_py_object_no_sync)(void* py_object, TensorRecord* out);
  int (*current_work_stream)(DeviceType device_type, std::int32_t device_id, void** out_stream);
};

inline constexpr const char* kCapsule = "dltensor";
inline constexpr const char* kUsedCapsule = "used_dltensor";
inline constexpr const char* kVersionedCapsule = "dltensor_versioned";
inline constexpr const char* kUsedVersionedCapsule = "used_dltensor_versioned";
inline constexpr const char* kExchangeCapsule = "dlpack_exchange_api";

}  // namespace penstock::dlpack
