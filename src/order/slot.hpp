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
  /// A use that goes on: all that is on the stream whenever somebody asks.
  [[nodiscard]] Point use_open() {
    const Point point = use();
    return {index_, point.mark | kOpenBit};
  }
  /// A use that went on ends with what is on its stream now.
  [[nodiscard]] Point close(std::uint64_t opened);
  /// The point of all that is on the stream.
  [[nodiscard]] Point now() const {
    const bool dirty =
        dirty_.load();  // read first: a mark under way raises next_ before it clears it
    return {index_, next_.load() - (dirty ? 0 : 1)};
  }
  /// The newest mark if it covers all that is on the stream, else a new one. `always` for streams
  /// that others use unseen.
  [[nodiscard]] Ref<Mark> mark(bool always);
  /// A mark that covers the point, made now if there is none; empty if the point is complete and
  /// its mark is gone.
  [[nodiscard]] Ref<Mark> mark_for(std::uint64_t number);
  /// The same for a use that goes on: covers all that is on its stream; once that stream is gone,
  /// all that was.
  [[nodiscard]] Ref<Mark> mark_for_open(std::uint64_t opened);
  /// The work that comes after the call is ordered behind the mark.
  void wait(const Mark& mark);

  /// The stream that lives here now; none once it is gone.
  [[nodiscard]] backend::StreamHandle stream();
  /// True if the calling thread is inside a host task of the slot's stream.
  [[nodiscard]] bool runs_here();
  [[nodiscard]] bool is_complete(std::uint64_t number);
  /// It was seen complete already; asks nobody.
  [[nodiscard]] bool was_complete(Point point) const { return completed_.load() >= point.mark; }
  /// False while the stream of a use that goes on is there.
  [[nodiscard]] bool is_complete_open(std::uint64_t opened);
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
  // A use sets dirty_ and reads next_ after its work was enqueued; mark() raises next_ and clears
  // dirty_ before it records. So a use that still reads m was enqueued before the event of m was
  // recorded, and m covers it; and one whose dirty_ a mark cleared was enqueued before that mark.
  // Attacked by test_order "uses race marks".
  std::atomic<std::uint64_t> next_{1};
  std::atomic<std::uint64_t> published_{0};
  std::atomic<std::uint64_t> completed_{0};
  std::atomic<bool> dirty_{false};
  Clock clock_;

  SpinLock lock_;  // the stream's short lock: guards what follows and orders waits with marks
  backend::Backend* backend_ = nullptr;
  int device_ = 0;
  backend::StreamHandle stream_ = backend::StreamHandle::none;
  std::uint64_t entered_ = 0;   // next_ when the stream came
  RingQueue<Ref<Mark>> marks_;  // published, oldest first
  SpinLock free_lock_;          // separate: the last reference may go while lock_ is held
  std::uint64_t tenancy_ = 0;   // changes, under both locks, when a stream has left
  std::vector<Mark*> free_marks_;
};

}  // namespace penstock::order
