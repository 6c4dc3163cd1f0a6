// Streams and events. Work on one stream runs in order; a tensor orders the rest: whoever is given
// one waits, on its stream, for the work behind it. A Stream or Event object is a reference: copies
// are the same stream. Thread-safe.
#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock {

class Tensor;
class TensorData;
namespace order {
class Stream;
class Mark;
}  // namespace order

/// A moment of a stream: complete when all that was queued before it is.
class PENSTOCK_API Event {
 public:
  struct State;
  explicit Event(std::shared_ptr<State> state) : state_(std::move(state)) {}

  /// True once complete, with an error or without. Never waits.
  [[nodiscard]] bool query() const;
  /// Waits on the host; rethrows the error of the work before it.
  void sync() const;
  /// The same, at most until `deadline_ns` on the monotonic clock; false if that came first.
  [[nodiscard]] bool sync_until(std::int64_t deadline_ns) const;

  [[nodiscard]] const State& state() const { return *state_; }

 private:
  std::shared_ptr<State> state_;
};

/// One tensor that a task reads or writes. Made by reads() and writes().
struct PENSTOCK_API Access {
  Access(const Tensor& accessed, bool write, const std::source_location& where);
  Access(const Access&);
  Access(Access&&) noexcept;
  Access& operator=(Access) = delete;
  ~Access();

  TensorData* tensor;
  bool is_write;
  std::source_location place;
};

/// The task reads the tensor: it runs after the last write.
[[nodiscard]] inline Access reads(
    const Tensor& tensor, const std::source_location& place = std::source_location::current()) {
  return {tensor, false, place};
}
/// The task writes the tensor (and may read it): it runs after all uses so far.
[[nodiscard]] inline Access writes(
    const Tensor& tensor, const std::source_location& place = std::source_location::current()) {
  return {tensor, true, place};
}

namespace detail {
/// A callable in a box.
class Function {
 public:
  Function() = default;
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;
  virtual ~Function() = default;
  virtual void call() = 0;
};
template <class F>
class FunctionOf final : public Function {
 public:
  explicit FunctionOf(F function) : function_(std::move(function)) {}
  void call() override { function_(); }

 private:
  F function_;
};
}  // namespace detail

/// A queue of work on a device.
class PENSTOCK_API Stream {
 public:
  /// A new stream, or one that was dropped before, with a new id.
  explicit Stream(Device device, int priority = 0);
  Stream(int) = delete;
  Stream(std::nullptr_t) = delete;
  explicit Stream(order::Stream* adopted) : impl_(adopted) {}
  Stream(const Stream& other);
  Stream(Stream&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}
  Stream& operator=(Stream other) noexcept;
  ~Stream();

  /// The calling thread's current stream for the device, if there is one.
  [[nodiscard]] static std::optional<Stream> current(Device device = Device::cpu());

  /// Never reused, unlike handles.
  [[nodiscard]] std::uint64_t id() const;
  /// The native handle: a cudaStream_t; for a host stream 2^62 + id.
  [[nodiscard]] std::uintptr_t handle() const;
  [[nodiscard]] Device device() const;

  /// Waits on the host for all that was queued; rethrows the first error and clears it.
  void sync() const;
  /// The same, at most until `deadline_ns` on the monotonic clock; false if that came first.
  [[nodiscard]] bool sync_until(std::int64_t deadline_ns) const;
  /// True if all that was queued is complete. Never waits.
  [[nodiscard]] bool query() const;
  [[nodiscard]] Event record() const;

  /// Work queued here later runs after all that is queued there now.
  void wait(const Stream& stream) const;
  /// Work queued here later runs after the event.
  void wait(const Event& event) const;
  /// Work queued here later runs after all uses of the tensor so far.
  void wait(const Tensor& tensor) const;

  /// Queues a function on a host stream, after what its accesses have to wait for. An exception
  /// that leaves it poisons the stream and later events, and comes out of sync(). StreamError on a
  /// GPU's.
  template <class F, class... Accesses>
    requires(std::is_same_v<Accesses, Access> && ...)
  Event launch(F&& function, Accesses... accesses) const {
    using Plain = std::decay_t<F>;
    std::vector<Access> all;
    (all.push_back(std::move(accesses)), ...);
    return launch_boxed(std::make_unique<detail::FunctionOf<Plain>>(std::forward<F>(function)),
                        all);
  }

  [[nodiscard]] order::Stream& impl() const { return *impl_; }
  friend bool operator==(const Stream& a, const Stream& b) { return a.impl_ == b.impl_; }

 private:
  Event launch_boxed(std::unique_ptr<detail::Function> function,
                     const std::vector<Access>& accesses) const;

  order::Stream* impl_;
};

/// Makes a stream current for the calling thread, until it goes out of scope. Nests.
class PENSTOCK_API CurrentStream {
 public:
  explicit CurrentStream(const Stream& stream);
  ~CurrentStream();
  CurrentStream(const CurrentStream&) = delete;
  CurrentStream& operator=(const CurrentStream&) = delete;

 private:
  Stream stream_;
  order::Stream* outer_;
};

/// Says that work on the stream, queued by other means, uses the tensor: what comes later waits for
/// it. Unless `wait` is false the stream first waits for what the use has to follow.
PENSTOCK_API void uses(const Tensor& tensor, const Stream& stream, bool write = false,
                       bool wait = true,
                       const std::source_location& place = std::source_location::current());

}  // namespace penstock
