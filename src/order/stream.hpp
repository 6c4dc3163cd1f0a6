// A stream as the core sees it: a native stream, its slot, and what the checker knows of it.
// Thread-safe and reference-counted. Streams that Penstock made are kept for reuse when dropped,
// with a new id.
#pragma once

#include "order/check.hpp"
#include "order/slot.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace penstock::order {

class Stream : public RefCounted<Stream> {
 public:
  [[nodiscard]] static Ref<Stream> make(Device device, int priority = 0);
  /// A stream that somebody else made. The same native stream, told by the driver's id, is the same
  /// object while one lives. `keep_alive` goes when the object goes.
  [[nodiscard]] static Ref<Stream> wrap(Device device, std::uintptr_t native,
                                        std::shared_ptr<void> keep_alive = {});
  /// Somebody else's that is never destroyed: kept, and found by its handle from now on. The legacy
  /// stream is one.
  void make_lasting();
  [[nodiscard]] bool is_lasting() const { return is_lasting_.load(std::memory_order_relaxed); }

  [[nodiscard]] Device device() const { return device_; }
  [[nodiscard]] backend::StreamHandle handle() const { return handle_; }
  /// The handle as other libraries have it.
  [[nodiscard]] std::uintptr_t native() const { return backend_->native_stream(handle_); }
  /// Never used twice, unlike handles.
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] Slot& slot() const { return *slot_; }
  [[nodiscard]] backend::Backend& backend() const { return *backend_; }
  /// Others put work on it unseen: each new edge from it needs a mark of its own.
  [[nodiscard]] bool is_foreign() const { return foreign_; }
  /// What the checker calls it; nullptr while the checker is off.
  [[nodiscard]] check::Actor* actor() const { return actor_.get(); }

  /// The point of work that was just enqueued, `bytes` of it; marks when much is unmarked.
  [[nodiscard]] Point use(std::int64_t bytes = 0);
  /// The point of work that others enqueue from now on, `bytes` of it.
  [[nodiscard]] Point use_open(std::int64_t bytes = 0);
  /// A mark that covers all that is on the stream. On a GPU whoever has the handle puts work on it
  /// unseen, on streams of ours too.
  [[nodiscard]] Ref<Mark> mark() { return slot_->mark(foreign_ || !device_.is_cpu()); }
  /// The work that comes after this call is ordered behind the point. No call if it is already.
  void wait(Point point);
  void wait(const Mark& mark);
  /// Waits on the host, at most until `deadline_ns`; rethrows the stream's first error.
  [[nodiscard]] bool sync(std::int64_t deadline_ns);
  /// The same for all that `last` covers (a mark of this stream, or none), and the error of that.
  [[nodiscard]] bool sync(const Ref<Mark>& last, std::int64_t deadline_ns);
  [[nodiscard]] bool query();
  /// True if the calling thread runs a task of this stream.
  [[nodiscard]] bool is_running_here() const { return backend_->runs_here(handle_); }

 private:
  friend class RefCounted<Stream>;
  Stream(Device device, backend::StreamHandle handle, int priority, bool foreign);
  ~Stream();
  void dispose();
  void forget();
  void last();
  [[nodiscard]] bool may_be_reused();
  void renew();
  void count_unmarked(std::int64_t bytes);

  Device device_;
  backend::Backend* backend_;
  backend::StreamHandle handle_;
  int priority_;
  bool foreign_;
  std::atomic<bool> is_lasting_{false};
  std::uint64_t id_ = 0;
  std::uint64_t native_id_ = 0;
  Slot* slot_;
  std::atomic<std::int64_t> unmarked_bytes_{0};
  std::unique_ptr<check::Actor> actor_;
  std::shared_ptr<void> keep_alive_;
};

/// A mark that covers the point, made now if need be; empty if the point is complete.
[[nodiscard]] Ref<Mark> mark_of(Point point);
/// True once the work is complete. An unmarked point is not known to be.
[[nodiscard]] bool is_complete(Point point);
/// Waits on the host for the point, at most until `deadline_ns`. Rethrows an error of that work.
[[nodiscard]] bool sync(Point point, std::int64_t deadline_ns);

}  // namespace penstock::order
