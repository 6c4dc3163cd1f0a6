#include "order/slot.hpp"

#include "base/throw.hpp"
#include "exec/fork.hpp"
#include "trace/counter.hpp"

#include <algorithm>
#include <memory>
#include <mutex>

namespace penstock::order {
namespace {

// Marks that are kept for late waits; older points wait for the oldest kept, which covers them.
constexpr std::size_t kMarksKept = 64;
constexpr std::size_t kMarksUnqueried = 8;
constexpr std::uint32_t kChunk = 128;
constexpr std::uint32_t kChunks = 512;

trace::Counter marks_made("order.marks");
trace::Counter waits_made("order.waits");

// Slots by index, in chunks that are never moved, so that at() needs no lock.
struct Table {
  SpinLock lock;
  std::atomic<std::uint32_t> count{0};
  std::array<std::atomic<std::array<Slot*, kChunk>*>, kChunks> chunks{};
  std::vector<Slot*> left;  // their streams are gone; free once idle. Clocks know the first ones
};

Table& table() {
  static auto* slots = new Table;
  return *slots;
}

void destroy_event(backend::Backend& backend, backend::EventHandle event) {
  try {
    backend.destroy_event(event);
  } catch (const Error&) {
    // The device is lost: nothing is left to destroy.
  }
}

}  // namespace

void Mark::dispose() {
  if (!exec::forked()) slot_->recycle(this);  // else its lock is as another thread had it
}

std::uint32_t Slot::count() { return table().count.load(std::memory_order_acquire); }

Slot& Slot::at(std::uint32_t index) {
  return *(*table().chunks[index / kChunk].load(std::memory_order_acquire))[index % kChunk];
}

Slot& Slot::take(backend::Backend& backend, int device, backend::StreamHandle stream) {
  Table& slots = table();
  const std::lock_guard guard(slots.lock);
  const auto idle = std::find_if(slots.left.begin(), slots.left.end(),
                                 [](Slot* slot) { return slot->is_idle(); });
  Slot* slot = nullptr;
  if (idle != slots.left.end()) {
    slot = *idle;
    slots.left.erase(idle);
  } else {
    const std::uint32_t index = slots.count.load();
    if (index == kChunk * kChunks) {
      throw_error<StreamError>("Stream: {} streams are in use; drop some of them", index);
    }
    auto& chunk = slots.chunks[index / kChunk];
    if (chunk.load() == nullptr) chunk.store(new std::array<Slot*, kChunk>{});
    slot = new Slot(index);
    (*chunk.load())[index % kChunk] = slot;
    slots.count.store(index + 1, std::memory_order_release);
  }
  slot->enter(backend, device, stream);
  return *slot;
}

void Slot::enter(backend::Backend& backend, int device, backend::StreamHandle stream) {
  const std::lock_guard guard(lock_);
  backend_ = &backend;
  device_ = device;
  stream_ = stream;
  entered_ = next_.load();
  clock_.clear();
  dirty_.store(false);
}

void Slot::leave() {
  {
    const std::lock_guard guard(lock_);
    try {
      static_cast<void>(record());
    } catch (const Error&) {
      // The device is lost, and all of it with it.
      published_.store(next_.fetch_add(1));
      raise_completed(published_.load());
    }
    stream_ = backend::StreamHandle::none;
  }
  const std::lock_guard guard(table().lock);
  auto& left = table().left;
  left.insert(std::ranges::upper_bound(left, index(), {}, &Slot::index), this);
}

bool Slot::is_idle() {
  if (!is_complete(published_.load())) return false;
  const std::lock_guard guard(lock_);
  {
    const std::lock_guard free_guard(free_lock_);
    ++tenancy_;  // events that come back from now on are destroyed
  }
  while (!marks_.empty()) static_cast<void>(marks_.pop());
  const std::lock_guard free_guard(free_lock_);
  for (Mark* mark : free_marks_) {
    destroy_event(*backend_, mark->event_);
    delete mark;
  }
  free_marks_.clear();
  return true;
}

Mark* Slot::take_mark() {
  {
    const std::lock_guard guard(free_lock_);
    if (!free_marks_.empty()) {
      Mark* mark = free_marks_.back();
      free_marks_.pop_back();
      mark->reset_refs();
      return mark;
    }
  }
  auto fresh = std::unique_ptr<Mark, void (*)(Mark*)>(new Mark, [](Mark* mark) { delete mark; });
  fresh->slot_ = this;
  fresh->backend_ = backend_;
  fresh->tenancy_ = tenancy_;
  fresh->event_ = backend_->create_event(device_);
  return fresh.release();
}

void Slot::recycle(Mark* mark) {
  {
    const std::lock_guard guard(free_lock_);
    if (mark->tenancy_ == tenancy_) {
      free_marks_.push_back(mark);
      return;
    }
  }
  destroy_event(*mark->backend_, mark->event_);
  delete mark;
}

// Under lock_.
Ref<Mark> Slot::record() {
  trim();
  auto mark = Ref<Mark>::adopt(take_mark());
  const std::uint64_t number = next_.fetch_add(1);
  dirty_.store(false);
  try {
    backend_->record(mark->event_, stream_);
  } catch (...) {
    dirty_.store(true);
    throw;
  }
  mark->point_ = {index_, number};
  mark->slots_ = std::min(count(), kClockSlots);
  clock_.copy_to({mark->clock_.data(), mark->slots_});
  if (index_ < mark->slots_) mark->clock_[index_] = number;
  marks_.push(mark);
  published_.store(number);
  marks_made.add();
  return mark;
}

// Under lock_. Complete marks go at once when there are some, the others when there are too many.
void Slot::trim() {
  while (marks_.size() > kMarksUnqueried) {
    const Mark& oldest = *marks_.front();
    const bool over = completed_.load() >= oldest.point_.mark || backend_->query(oldest.event_);
    if (over) raise_completed(oldest.point_.mark);
    if (!over && marks_.size() < kMarksKept) return;
    static_cast<void>(marks_.pop());
  }
}

// Under lock_.
Ref<Mark> Slot::find(std::uint64_t number) {
  Ref<Mark> found;
  for (std::size_t i = marks_.size(); i-- > 0 && marks_[i]->point_.mark >= number;) {
    found = marks_[i];
  }
  return found;
}

Ref<Mark> Slot::mark(bool always) {
  exec::throw_if_forked("Stream");
  const std::lock_guard guard(lock_);
  if ((always || dirty_.load()) && stream_ != backend::StreamHandle::none) return record();
  return marks_.empty() ? Ref<Mark>{} : marks_[marks_.size() - 1];
}

Ref<Mark> Slot::mark_for(std::uint64_t number) {
  exec::throw_if_forked("Stream");
  const std::lock_guard guard(lock_);
  if (published_.load() < number && stream_ != backend::StreamHandle::none) return record();
  return find(number);
}

Ref<Mark> Slot::mark_for_open(std::uint64_t opened) {
  exec::throw_if_forked("Stream");
  const std::lock_guard guard(lock_);
  if (opened < entered_) return {};  // its stream is gone, and complete
  if (stream_ != backend::StreamHandle::none) return record();
  return marks_.empty() ? Ref<Mark>{} : marks_[marks_.size() - 1];
}

Point Slot::close(std::uint64_t opened) {
  {
    const std::lock_guard guard(lock_);
    if (opened < entered_) return {index_, opened};
    if (stream_ == backend::StreamHandle::none) return {index_, published_.load()};
  }
  return use();
}

bool Slot::is_complete_open(std::uint64_t opened) {
  {
    const std::lock_guard guard(lock_);
    if (opened < entered_) return true;
    if (stream_ != backend::StreamHandle::none) return false;
  }
  return is_complete(published_.load());
}

void Slot::wait(const Mark& mark) {
  exec::throw_if_forked("Stream.wait");
  if (mark.backend_ != backend_) {
    throw_error<StreamError>(
        "wait: streams of the CPU and of a GPU can't wait for one another; sync() the first on the "
        "host, or copy with to()");
  }
  // Over and without an error: ordered already, whatever this stream does.
  const bool over = at(mark.point_.slot).completed_.load() >= mark.point_.mark &&
                    !mark.backend_->error(mark.event_);
  const std::lock_guard guard(lock_);
  if (!over) {
    backend_->wait(stream_, mark.event_);
    waits_made.add();
    dirty_.store(true);
  }
  clock_.raise(mark.snapshot());
  clock_.raise(mark.point_);
}

backend::StreamHandle Slot::stream() {
  const std::lock_guard guard(lock_);
  return stream_;
}

bool Slot::runs_here() {
  const std::lock_guard guard(lock_);
  return stream_ != backend::StreamHandle::none && backend_->runs_here(stream_);
}

bool Slot::is_complete(std::uint64_t number) {
  if (completed_.load() >= number) return true;
  if (published_.load() < number) return false;
  Ref<Mark> mark;
  {
    const std::lock_guard guard(lock_);
    mark = find(number);
  }
  if (!mark) return true;
  if (!mark->backend().query(mark->event())) return false;
  complete(*mark);
  return true;
}

void Slot::complete(const Mark& mark) {
  // A lost device calls all work over; whether it was done is not known.
  if (mark.backend().lost(mark.slot_->device_)) return;
  const auto snapshot = mark.snapshot();
  for (std::uint32_t slot = 0; slot < snapshot.size(); ++slot) {
    at(slot).raise_completed(snapshot[slot]);
  }
  at(mark.point_.slot).raise_completed(mark.point_.mark);
}

void Slot::raise_completed(std::uint64_t number) {
  std::uint64_t seen = completed_.load();
  while (seen < number && !completed_.compare_exchange_weak(seen, number)) {
  }
}

}  // namespace penstock::order
