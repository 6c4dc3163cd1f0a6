// A tensor that knows where and when it is ready. A Tensor object is a reference to a view of a
// block of memory; the block carries the uses, so views are ordered with one another.
// Thread-safe, but for assigning one Tensor object from two threads.
#pragma once

#include <penstock/device.hpp>
#include <penstock/dlpack.hpp>
#include <penstock/dtype.hpp>
#include <penstock/export.hpp>
#include <penstock/layout.hpp>
#include <penstock/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

namespace penstock {

/// Dimensions that a tensor may have.
inline constexpr int kMaxDims = 16;

/// The sizes of the dimensions, outermost first.
using Shape = std::vector<std::int64_t>;

/// Gives an imported owner back; called once, on any thread, after the last use.
struct Owner {
  void (*release)(void* context) = nullptr;
  void* context = nullptr;
};

class PENSTOCK_API Tensor {
 public:
  /// Memory from the cache of the stream's device, for use on that stream; contents undefined. Rows
  /// are packed, or begin at multiples of `rowalign` bytes. Throws TensorError, OutOfMemory.
  [[nodiscard]] static Tensor empty(const Shape& shape, Dtype dtype, Layout layout,
                                    const Stream& stream, std::int64_t rowalign = 0);
  /// The same for the device's current stream; without one, for the calling thread.
  [[nodiscard]] static Tensor empty(const Shape& shape, Dtype dtype, Layout layout = {},
                                    Device device = Device::cpu(), std::int64_t rowalign = 0);
  [[nodiscard]] static Tensor zeros(const Shape& shape, Dtype dtype, Layout layout = {},
                                    Device device = Device::cpu());
  /// Wraps a DLPack tensor, with no copy. Throws TensorError that names the field; then the owner
  /// is not released. `stream`: the one its pending work is on.
  [[nodiscard]] static Tensor wrap(const dlpack::TensorRecord& record, bool readonly, Owner owner,
                                   Layout layout = {}, const Stream* stream = nullptr);

  explicit Tensor(TensorData* adopted) : data_(adopted) {}
  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Tensor& operator=(Tensor other) noexcept;
  ~Tensor();

  [[nodiscard]] std::span<const std::int64_t> shape() const;
  /// In bytes, as NumPy has them.
  [[nodiscard]] std::span<const std::int64_t> strides() const;
  [[nodiscard]] Dtype dtype() const;
  [[nodiscard]] const Layout& layout() const;
  [[nodiscard]] Device device() const;
  [[nodiscard]] int ndim() const;
  /// Elements.
  [[nodiscard]] std::int64_t size() const;
  [[nodiscard]] std::int64_t nbytes() const;
  [[nodiscard]] std::int64_t itemsize() const;
  /// Address of the first element. Reading it is ordered by sync(), a launch or a stream's wait.
  [[nodiscard]] void* data() const;
  [[nodiscard]] bool readonly() const;
  /// True if the elements are packed, last dimension innermost.
  [[nodiscard]] bool is_contiguous() const;

  /// The same memory in another shape; -1 for one dimension that follows. TensorError rather than
  /// a copy.
  [[nodiscard]] Tensor reshape(const Shape& shape) const;
  /// The same memory with other dimension letters.
  [[nodiscard]] Tensor view(Layout layout) const;
  /// Elements begin, begin + step, … before end of one dimension; negative steps go backwards.
  [[nodiscard]] Tensor slice(int dim, std::int64_t begin, std::int64_t end,
                             std::int64_t step = 1) const;
  /// One index of a dimension, which goes.
  [[nodiscard]] Tensor select(int dim, std::int64_t index) const;
  /// The dimensions in another order; drops the layout unless it can be permuted too.
  [[nodiscard]] Tensor permute(const std::vector<int>& dims) const;
  /// The same memory with no permission to write.
  [[nodiscard]] Tensor as_readonly() const;

  /// Copies the elements, on the current stream; without one, before this returns. Shapes and types
  /// are equal, or TensorError.
  void copy_to(const Tensor& target) const;
  void copy_to(const Tensor& target, const Stream& stream) const;
  /// A packed copy.
  [[nodiscard]] Tensor copy() const;
  /// The tensor itself if it is there, else a packed copy on the other device: complete if one of
  /// the two is the CPU, in stream order between GPUs.
  [[nodiscard]] Tensor to(Device device) const;

  /// Waits on the host until the uses so far are complete; from a task, not for its own stream.
  void sync() const;
  /// The same, at most until `deadline_ns` on the monotonic clock; false if that came first.
  [[nodiscard]] bool sync_until(std::int64_t deadline_ns) const;
  /// True if the uses so far are complete.
  [[nodiscard]] bool query() const;

  [[nodiscard]] TensorData& impl() const { return *data_; }

 private:
  TensorData* data_;
};

/// A versioned DLPack capsule's content for the tensor; its deleter drops the reference.
[[nodiscard]] PENSTOCK_API dlpack::ManagedVersioned* to_dlpack_versioned(
    const Tensor& tensor, std::uint64_t extra_flags = 0);
/// The unversioned form. ExchangeError for a read-only tensor, which it can't say.
[[nodiscard]] PENSTOCK_API dlpack::Managed* to_dlpack(const Tensor& tensor);

}  // namespace penstock
