// A slot holds the marks of one stream after another: numbers go on when a stream leaves, so points
// stay unique without generations. Slots are dense, never freed, and reused only when idle.
// Thread-safe.
#pragma once

#include "backend/backend.hpp"
#include "base/ref.hpp"
#include "base/ring_queue.hpp"
#include "base/spin_lock.hpp"
#include "order/clock.hpp"
#include "order/point.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace penstock::order {

class Slot;

/// An event recorded on a stream, with what the stream was ordered behind then. Immutable while it
/// is referenced; its event is recorded again, on the same stream only, once nobody holds it.
class Mark : public RefCounted<Mark> {
 public:
  [[nodiscard]] Point point() const { return point_; }
  [[nodiscard]] backend::EventHandle event() const { return event_; }
  [[nodiscard]] backend::Backend& backend() const { return *backend_; }
  [[nodiscard]] std::span<const std::uint64_t> snapshot() const { return {clock_.data(), slots_}; }

 private:
  friend class RefCounted<Mark>;
  friend class Slot;
  Mark() = default;
  ~Mark() = default;
  void dispose();

  Slot* slot_ = nullptr;
  backend::Backend* backend_ = nullptr;
  backend::EventHandle event_ = backend::EventHandle::none;
  std::uint64_t tenancy_ = 0;
  Point point_;
  std::uint32_t slots_ = 0;
  std::array<std::uint64_t, kClockSlots> clock_;
};

class Slot {
 public:
  /// A free slot, now lived in by the stream. DeviceError if the machine has no more.
  [[nodiscard]] static Slot& take(backend::Backend& backend, int device,
                                  backend::StreamHandle stream);
  [[nodiscard]] static Slot& at(std::uint32_t index);
  /// Slots ever used.
  [[nodiscard]] static std::uint32_t count();
  /// The stream goes: it is marked, and the slot becomes free when that mark is complete.
  void leave();

  [[nodiscard]] std::uint32_t index() const { return index_; }
  [[nodiscard]] bool covers(Point point) const {
    return point.slot == index_ || clock_.covers(point);
  }

  /// The point of work that was enqueued just before this call.
  [[nodiscard]] Point use() {
    dirty_.store(true);
    return {index_, next_.load()};
  }
  /// The point of all that is on the stream.
  [[nodiscard]] Point now() const {
    return {index_, dirty_.load() ? next_.load() : published_.load()};
  }
  /// The newest mark if it covers all that is on the stream, else a new one. `always` for streams
  /// that others use unseen.
  [[nodiscard]] Ref<Mark> mark(bool always);
  /// A mark that covers the point, made now if there is none; empty if the point is complete and
  /// its mark is gone.
  [[nodiscard]] Ref<Mark> mark_for(std::uint64_t number);
  /// The work that comes after the call is ordered behind the mark.
  void wait(const Mark& mark);

  /// True if the calling thread is inside a host task of the slot's stream.
  [[nodiscard]] bool runs_here();
  [[nodiscard]] bool is_complete(std::uint64_t number);
  /// A mark was seen complete: so are those it is ordered behind.
  static void complete(const Mark& mark);

  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

 private:
  friend class Mark;
  explicit Slot(std::uint32_t index) : index_(index) {}
  ~Slot() = delete;

  void enter(backend::Backend& backend, int device, backend::StreamHandle stream);
  [[nodiscard]] bool is_idle();
  [[nodiscard]] Ref<Mark> record();
  [[nodiscard]] Ref<Mark> find(std::uint64_t number);
  [[nodiscard]] Mark* take_mark();
  void trim();
  void recycle(Mark* mark);
  void raise_completed(std::uint64_t number);

  const std::uint32_t index_;
  // A use reads next_ after its work was enqueued; mark() raises next_ before it records. So a use
  // that still reads m was enqueued before the event of m was recorded, and m covers it.
  std::atomic<std::uint64_t> next_{1};
  std::atomic<std::uint64_t> published_{0};
  std::atomic<std::uint64_t> completed_{0};
  std::atomic<bool> dirty_{false};
  Clock clock_;

  SpinLock lock_;  // the stream's short lock: guards what follows and orders waits with marks
  backend::Backend* backend_ = nullptr;
  int device_ = 0;
  backend::StreamHandle stream_ = backend::StreamHandle::none;
  RingQueue<Ref<Mark>> marks_;  // published, oldest first
  SpinLock free_lock_;          // separate: the last reference may go while lock_ is held
  std::uint64_t tenancy_ = 0;   // changes, under both locks, when a stream has left
  std::vector<Mark*> free_marks_;
};

}  // namespace penstock::order
