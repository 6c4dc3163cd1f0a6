#include <penstock/stream.hpp>

#include "base/throw.hpp"
#include "base/time.hpp"
#include "tensor/event_state.hpp"
#include "tensor/work.hpp"

#include <algorithm>
#include <vector>

namespace penstock {
namespace {

constexpr std::uintptr_t kHostHandles = std::uintptr_t{1} << 62;

std::string place_of(const std::source_location& place) {
  if (!order::check::is_on()) return {};
  return fmt::format("{}:{}", place.file_name(), place.line());
}

order::check::Position moment(const order::Stream& stream) {
  return stream.actor() == nullptr ? order::check::Position{} : order::check::now(*stream.actor());
}

class BoxedTask final : public backend::HostTask {
 public:
  explicit BoxedTask(std::unique_ptr<detail::Function> function) : function_(std::move(function)) {}
  void run() override { function_->call(); }

 private:
  std::unique_ptr<detail::Function> function_;
};

}  // namespace

Access::Access(const Tensor& accessed, bool write, const std::source_location& where)
    : tensor(&accessed.impl()), is_write(write), place(where) {
  tensor->retain();
}
Access::Access(const Access& other)
    : tensor(other.tensor), is_write(other.is_write), place(other.place) {
  if (tensor != nullptr) tensor->retain();
}
Access::Access(Access&& other) noexcept
    : tensor(std::exchange(other.tensor, nullptr)), is_write(other.is_write), place(other.place) {}
Access::~Access() {
  if (tensor != nullptr) tensor->release();
}

bool Event::query() const {
  if (!state_->mark) return true;
  if (!state_->mark->backend().query(state_->mark->event())) return false;
  order::Slot::complete(*state_->mark);
  order::check::host_wait(state_->position);
  return true;
}

void Event::sync() const { static_cast<void>(sync_until(kNever)); }

bool Event::sync_until(std::int64_t deadline_ns) const {
  if (!state_->mark) return true;
  const order::Mark& mark = *state_->mark;
  if (!mark.backend().sync(mark.event(), deadline_ns)) return false;
  order::Slot::complete(mark);
  order::check::host_wait(state_->position);
  if (const auto error = mark.backend().error(mark.event())) std::rethrow_exception(error);
  return true;
}

Stream::Stream(Device device, int priority) : impl_(order::Stream::make(device, priority).leak()) {}
Stream::Stream(const Stream& other) : impl_(other.impl_) {
  if (impl_ != nullptr) impl_->retain();
}
Stream& Stream::operator=(Stream other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}
Stream::~Stream() {
  if (impl_ != nullptr) impl_->release();
}

std::optional<Stream> Stream::current(Device device) {
  order::Stream* stream = current_stream(device);
  if (stream == nullptr) return std::nullopt;
  stream->retain();
  return Stream(stream);
}

std::uint64_t Stream::id() const { return impl_->id(); }
std::uintptr_t Stream::handle() const {
  return device().is_cpu() ? kHostHandles + id() : impl_->native();
}
Device Stream::device() const { return impl_->device(); }

void Stream::sync() const { static_cast<void>(sync_until(kNever)); }

bool Stream::sync_until(std::int64_t deadline_ns) const {
  const order::check::Position position = moment(*impl_);
  try {
    if (!impl_->sync(deadline_ns)) return false;
  } catch (const backend::SelfWaitError&) {
    throw;
  } catch (...) {
    order::check::host_wait(position);  // an error of the work: it is over all the same
    throw;
  }
  order::check::host_wait(position);
  return true;
}

bool Stream::query() const {
  const order::check::Position position = moment(*impl_);
  if (!impl_->query()) return false;
  order::check::host_wait(position);
  return true;
}

Event Stream::record() const {
  auto state = std::make_shared<Event::State>();
  if (impl_->actor() != nullptr) state->position = order::check::enqueue(*impl_->actor());
  state->mark = impl_->mark();
  return Event(std::move(state));
}

void Stream::wait(const Stream& stream) const {
  if (stream == *this) return;
  wait(stream.record());
}

void Stream::wait(const Event& event) const {
  const Event::State& state = event.state();
  if (state.mark) impl_->wait(*state.mark);
  if (impl_->actor() != nullptr && state.position.is_set()) {
    order::check::wait(*impl_->actor(), state.position);
  }
}

void Stream::wait(const Tensor& tensor) const {
  const std::array operands{Operand{&tensor.impl(), true}};
  wait_for_operands(*impl_, operands);
}

Event Stream::launch_boxed(std::unique_ptr<detail::Function> function,
                           const std::vector<Access>& accesses) const {
  std::vector<Operand> operands;
  operands.reserve(accesses.size());
  for (const Access& access : accesses) operands.push_back({access.tensor, access.is_write});
  const auto place = accesses.empty() ? std::string{} : place_of(accesses.front().place);
  auto state = std::make_shared<Event::State>();
  state->position = enqueue(*impl_, std::make_unique<BoxedTask>(std::move(function)), operands,
                            tag("launch", place));
  state->mark = impl_->mark();
  return Event(std::move(state));
}

CurrentStream::CurrentStream(const Stream& stream)
    : stream_(stream), outer_(exchange_current_stream(stream.device(), &stream_.impl())) {}
CurrentStream::~CurrentStream() { exchange_current_stream(stream_.device(), outer_); }

void uses(const Tensor& tensor, const Stream& stream, bool write, bool wait,
          const std::source_location& place) {
  note_use(tensor.impl(), stream.impl(), write, wait, tag("uses", place_of(place)));
}

}  // namespace penstock
