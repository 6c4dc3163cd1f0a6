#include "order/stream.hpp"

#include "base/throw.hpp"
#include "exec/fork.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace penstock::order {
namespace {

// Unmarked uses past this many bytes are marked, so that their memory can come back.
constexpr std::int64_t kUnmarkedBytes = 64 << 20;
constexpr std::size_t kIdleStreams = 64;

std::atomic<std::uint64_t> next_id{1};

struct DriversId {
  int device;
  std::uint64_t number;
  bool operator==(const DriversId&) const = default;
  struct Hash {
    std::size_t operator()(const DriversId& id) const {
      return std::hash<std::uint64_t>{}(id.number ^ static_cast<std::uint64_t>(id.device) << 56);
    }
  };
};

struct Registry {
  SpinLock lock;
  std::unordered_map<DriversId, Stream*, DriversId::Hash> known;  // of GPUs
  std::unordered_map<backend::StreamHandle, Stream*> lasting;     // of GPUs
  std::vector<Stream*> idle;                                      // ours, dropped, for reuse
};

Registry& registry() {
  static auto* streams = new Registry;
  return *streams;
}

}  // namespace

Stream::Stream(Device device, backend::StreamHandle handle, int priority, bool foreign)
    : device_(device),
      backend_(&backend::of(device)),
      handle_(handle),
      priority_(priority),
      foreign_(foreign),
      slot_(&Slot::take(*backend_, device.index, handle)) {
  renew();
}

void Stream::renew() {
  id_ = next_id.fetch_add(1);
  actor_.reset();
  if (check::is_on()) {
    actor_ = std::make_unique<check::Actor>(fmt::format("stream {}", id_), false);
  }
}

Stream::~Stream() { slot_->leave(); }

Ref<Stream> Stream::make(Device device, int priority) {
  exec::throw_if_forked("Stream");
  exec::note_caller();
  Registry& streams = registry();
  {
    const std::lock_guard guard(streams.lock);
    const auto found =
        std::find_if(streams.idle.begin(), streams.idle.end(), [&](const Stream* stream) {
          return stream->device_ == device && stream->priority_ == priority;
        });
    if (found != streams.idle.end()) {
      Stream* stream = *found;
      *found = streams.idle.back();
      streams.idle.pop_back();
      stream->reset_refs();
      stream->renew();
      if (!device.is_cpu()) streams.known[{device.index, stream->native_id_}] = stream;
      return Ref<Stream>::adopt(stream);
    }
  }
  backend::Backend& backend = backend::of(device);
  const backend::StreamHandle handle = backend.create_stream(device.index, priority);
  try {
    auto stream = Ref<Stream>::adopt(new Stream(device, handle, priority, false));
    if (device.is_cpu()) return stream;
    stream->native_id_ = backend.stream_id(handle);
    const std::lock_guard guard(streams.lock);
    streams.known[{device.index, stream->native_id_}] = stream.get();
    return stream;
  } catch (...) {
    backend.destroy_stream(handle);
    throw;
  }
}

Ref<Stream> Stream::wrap(Device device, std::uintptr_t native, std::shared_ptr<void> keep_alive) {
  exec::throw_if_forked("Stream");
  exec::note_caller();
  Registry& streams = registry();
  backend::Backend& backend = backend::of(device);
  const backend::StreamHandle handle = backend.stream_of(device.index, native);
  if (!device.is_cpu()) {
    const std::lock_guard guard(streams.lock);
    const auto found = streams.lasting.find(handle);
    if (found != streams.lasting.end()) return Ref<Stream>::share(found->second);
  }
  const std::uint64_t native_id = backend.stream_id(handle);
  const std::lock_guard guard(streams.lock);
  Stream*& known = streams.known[{device.index, native_id}];
  if (known != nullptr && known->try_retain()) return Ref<Stream>::adopt(known);
  auto stream = Ref<Stream>::adopt(new Stream(device, handle, 0, true));
  stream->native_id_ = native_id;
  stream->keep_alive_ = std::move(keep_alive);
  known = stream.get();
  if (!device.is_cpu() && handle == backend.legacy_stream(device.index)) stream->last();
  return stream;
}

void Stream::make_lasting() {
  const std::lock_guard guard(registry().lock);
  last();
}

// Under the registry's lock.
void Stream::last() {
  if (is_lasting_.exchange(true)) return;
  retain();
  registry().lasting[handle_] = this;
}

void Stream::dispose() {
  if (exec::forked()) return;  // locks are as another thread had them
  Registry& streams = registry();
  if (foreign_) {
    forget();
    delete this;
    return;
  }
  if (may_be_reused()) {
    const std::lock_guard guard(streams.lock);
    if (streams.idle.size() < kIdleStreams) {
      streams.idle.push_back(this);
      return;
    }
  }
  if (!device_.is_cpu()) forget();
  const backend::StreamHandle handle = handle_;
  backend::Backend& backend = *backend_;
  delete this;
  try {
    backend.destroy_stream(handle);
  } catch (const Error&) {
    // The device is lost: nothing is left to destroy.
  }
}

void Stream::forget() {
  Registry& streams = registry();
  const std::lock_guard guard(streams.lock);
  const auto found = streams.known.find({device_.index, native_id_});
  if (found != streams.known.end() && found->second == this) streams.known.erase(found);
}

// Idle, and without an error that nobody noticed.
bool Stream::may_be_reused() {
  try {
    if (!device_.is_cpu()) return backend_->sync_stream(handle_, 0);
    const auto last = slot_->mark(true);
    return !last || (slot_->is_complete(last->point().mark) && !backend_->error(last->event()));
  } catch (const Error&) {
    return false;
  }
}

Point Stream::use(std::int64_t bytes) {
  const Point point = slot_->use();
  count_unmarked(bytes);
  return point;
}

Point Stream::use_open(std::int64_t bytes) {
  const Point point = slot_->use_open();
  count_unmarked(bytes);
  return point;
}

void Stream::count_unmarked(std::int64_t bytes) {
  if (bytes <= 0 || unmarked_bytes_.fetch_add(bytes) + bytes <= kUnmarkedBytes) return;
  unmarked_bytes_.store(0);
  static_cast<void>(mark());
}

void Stream::wait(Point point) {
  if (slot_->covers(point)) return;
  if (const auto mark = mark_of(point)) slot_->wait(*mark);
}

void Stream::wait(const Mark& mark) {
  if (!slot_->covers(mark.point())) slot_->wait(mark);
}

bool Stream::sync(std::int64_t deadline_ns) {
  const auto last = mark();
  try {
    if (!backend_->sync_stream(handle_, deadline_ns)) return false;
  } catch (...) {
    static_cast<void>(slot_->use());  // the error is cleared: the next mark is to be without it
    throw;
  }
  if (last) Slot::complete(*last);
  return true;
}

bool Stream::sync(const Ref<Mark>& last, std::int64_t deadline_ns) {
  if (!last) return true;
  if (!backend_->sync(last->event(), deadline_ns)) return false;
  Slot::complete(*last);
  if (!backend_->error(last->event())) return true;
  if (const auto fault = backend_->lost(device_.index)) std::rethrow_exception(fault);
  const auto error = backend_->take_error(handle_);
  static_cast<void>(slot_->use());  // the error is over: the next mark is to be without it
  if (error) std::rethrow_exception(error);
  return true;
}

bool Stream::query() {
  exec::throw_if_forked("Stream.query");
  if (!device_.is_cpu()) {
    // By the stream itself: a mark that is made for the question is hardly ever over yet.
    const auto newest = slot_->mark(false);
    if (!backend_->sync_stream(handle_, 0)) return false;
    if (newest) Slot::complete(*newest);
    return true;
  }
  const auto last = mark();
  if (!last) return true;
  if (!backend_->query(last->event())) return false;
  Slot::complete(*last);
  return true;
}

Ref<Mark> mark_of(Point point) {
  Slot& slot = Slot::at(point.slot);
  return point.is_open() ? slot.mark_for_open(point.mark & ~kOpenBit) : slot.mark_for(point.mark);
}

bool is_complete(Point point) {
  Slot& slot = Slot::at(point.slot);
  return point.is_open() ? slot.is_complete_open(point.mark & ~kOpenBit)
                         : slot.is_complete(point.mark);
}

bool sync(Point point, std::int64_t deadline_ns) {
  const auto mark = mark_of(point);
  if (!mark) return true;
  if (!mark->backend().sync(mark->event(), deadline_ns)) return false;
  Slot::complete(*mark);
  if (const auto error = mark->backend().error(mark->event())) std::rethrow_exception(error);
  return true;
}

}  // namespace penstock::order
