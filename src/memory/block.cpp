#include "memory/block.hpp"

#include "exec/fork.hpp"
#include "memory/cache.hpp"
#include "memory/release_gate.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace penstock::memory {

Ref<Block> Block::wrap(void* data, std::size_t bytes, Device device, backend::MemoryKind kind,
                       Release release, Ref<order::Stream> back_edge) {
  auto block = Ref<Block>::adopt(new Block);
  block->data_ = static_cast<std::byte*>(data);
  block->bytes_ = bytes;
  block->device_ = device;
  block->kind_ = kind;
  block->release_ = release;
  block->back_edge_ = std::move(back_edge);
  return block;
}

void Block::used(order::Stream& stream, bool is_write, bool open) {
  const auto bytes = static_cast<std::int64_t>(bytes_);
  used_until(stream, open ? stream.use_open(bytes) : stream.use(bytes), is_write);
  if (!open || !stream.is_foreign()) return;
  const std::lock_guard guard(lock_);
  keep(stream);  // somebody else's may go on without us
}

// Under the lock.
void Block::keep(order::Stream& stream) {
  const auto known = [&](const auto& one) { return one.get() == &stream; };
  if (std::ranges::none_of(lent_to_, known)) {
    lent_to_.push_back(Ref<order::Stream>::share(&stream));
  }
}

void Block::pending(order::Stream& stream) {
  const order::Point point = stream.use();
  const std::lock_guard guard(lock_);
  uses_.add_write(point, stream.slot());
  owners_slot_ = point.slot;
}

void Block::used_until(order::Stream& stream, order::Point point, bool is_write) {
  exec::throw_if_forked("Tensor");
  const std::lock_guard guard(lock_);
  is_used_ = true;
  if (is_write) {
    uses_.add_write(point, stream.slot());
  } else {
    uses_.add_read(point);
  }
}

void Block::collect(bool for_write, order::Points& points) {
  exec::throw_if_forked("Tensor");
  const std::lock_guard guard(lock_);
  uses_.collect(for_write, points);
}

void Block::lend_to(order::Stream& stream) {
  order::Points points;
  {
    exec::throw_if_forked("Tensor");
    const std::lock_guard guard(lock_);
    uses_.collect_to_lend(points);
  }
  for (const order::Point& point : points) stream.wait(point);
  const order::Point point = stream.use_open(static_cast<std::int64_t>(bytes_));
  const std::lock_guard guard(lock_);
  is_used_ = is_used_ || point.slot != owners_slot_;  // else it goes back to where it came from
  uses_.add_lent(point);
  keep(stream);
}

void Block::settle(const order::Stream& stream) {
  const std::lock_guard guard(lock_);
  uses_.close_open(stream.slot());
}

void Block::lend_unseen() {
  const std::lock_guard guard(lock_);
  is_used_ = true;
  is_lent_unseen_ = true;
}

// A stream waits for the whole context, and its point stands for the unseen work.
void Block::follow_context() {
  const auto stream = order::Stream::make(device_);
  backend::Backend& backend = stream->backend();
  const backend::EventHandle event = backend.create_event(device_.index);
  backend.record_context(event, device_.index);
  backend.wait(stream->handle(), event);
  backend.destroy_event(event);
  used_until(*stream, stream->use(), true);
  static_cast<void>(stream->mark());
}

void Block::end_loans() {
  if (std::exchange(is_lent_unseen_, false)) {
    try {
      follow_context();
    } catch (const Error&) {
      // The device is lost: what was to be waited for is over.
    }
  }
  if (!uses_.empty()) {
    const std::lock_guard guard(lock_);
    uses_.close_open();
  }
  lent_to_.clear();
}

void Block::wait_on(order::Stream& stream, bool for_write) {
  order::Points points;
  collect(for_write, points);
  for (const order::Point& point : points) stream.wait(point);
}

bool Block::sync(bool for_write, std::int64_t deadline_ns) {
  order::Points writes;
  order::Points all;  // the writes first
  {
    exec::throw_if_forked("sync");
    const std::lock_guard guard(lock_);
    uses_.collect(false, writes);
    uses_.collect(for_write, all);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (order::Slot::at(all[i].slot).runs_here()) continue;
    const auto mark = order::mark_of(all[i]);
    if (!mark) continue;
    try {
      if (!mark->backend().sync(mark->event(), deadline_ns)) return false;
    } catch (const backend::SelfWaitError&) {
      continue;  // it comes after the calling task: not what the caller waits for
    }
    order::Slot::complete(*mark);
    if (i >= writes.size()) continue;
    if (const auto error = mark->backend().error(mark->event())) std::rethrow_exception(error);
  }
  return true;
}

bool Block::is_complete(bool for_write) {
  order::Points points;
  collect(for_write, points);
  return std::all_of(points.begin(), points.end(), order::is_complete);
}

order::check::Shadow* Block::shadow() {
  if (!order::check::is_on()) return nullptr;
  const std::lock_guard guard(lock_);
  if (!shadow_) {
    shadow_ = std::make_unique<order::check::Shadow>();
    shadow_->base = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(data_));
  }
  return shadow_.get();
}

bool Block::prune() {
  const std::lock_guard guard(lock_);
  return uses_.prune();
}

void Block::dispose() {
  if (exec::forked()) {
    // Locks are as another thread had them: only what needs none is let go.
    if (cache_ == nullptr && uses_.empty() && !back_edge_) release_memory();
    return;
  }
  if (cache_ == nullptr && !is_used_) return release_memory();
  end_loans();
  if (cache_ != nullptr && cache_->take_back(*this)) return;
  make_back_edge();
  let_go();
}

void Block::make_back_edge() {
  if (!back_edge_) return;
  try {
    wait_on(*back_edge_, true);
  } catch (const Error&) {
    // The owner's stream is gone, or the device is lost: nobody is there to wait.
  }
}

void Block::let_go() {
  if (prune()) {
    release_memory();
  } else {
    release_when_complete(*this);
  }
}

// Streams are left before: whoever keeps one may go with the memory.
void Block::release_memory() {
  back_edge_ = {};
  lent_to_.clear();
  if (release_.call != nullptr) release_.call(release_.context);
  if (cache_ != nullptr) cache_->destroy(*this);
  delete this;
}

}  // namespace penstock::memory
