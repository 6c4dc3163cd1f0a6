#include "tensor/work.hpp"

#include "base/throw.hpp"
#include "memory/cache.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace penstock {
namespace {

thread_local std::array<order::Stream*, 65> current_streams{};

// The operands of the task that this thread is inside of. The stream waited for their uses before
// the task, and later uses wait for the task: it need not wait for them again.
struct RunningTask {
  explicit RunningTask(std::span<const Ref<TensorData>> held) : operands(held), outer(top) {
    top = this;
  }
  ~RunningTask() { top = outer; }
  RunningTask(const RunningTask&) = delete;
  RunningTask& operator=(const RunningTask&) = delete;

  [[nodiscard]] static bool has(const memory::Block& block) {
    return top != nullptr && std::ranges::any_of(top->operands, [&](const auto& operand) {
             return operand->block.get() == &block;
           });
  }

  std::span<const Ref<TensorData>> operands;
  RunningTask* outer;
  static thread_local RunningTask* top;
};

thread_local RunningTask* RunningTask::top = nullptr;

using Positions = std::vector<order::check::Position>;

// What a wait for the block is told to the checker as; taken before the wait, which may cover more.
Positions conflicts(memory::Block& block, bool for_write) {
  const auto* shadow = block.shadow();
  return shadow == nullptr ? Positions{} : order::check::conflicts(*shadow, for_write);
}

// Keeps the operands, sets the stream current and tells the checker whose task it is.
class TensorTask final : public backend::HostTask {
 public:
  TensorTask(std::unique_ptr<backend::HostTask> task, std::span<const Operand> operands,
             order::Stream& stream)
      : task_(std::move(task)), stream_(Ref<order::Stream>::share(&stream)) {
    operands_.reserve(operands.size());
    for (const Operand& operand : operands) {
      operands_.push_back(Ref<TensorData>::share(operand.tensor));
    }
  }
  void set_position(order::check::Position position) { position_ = std::move(position); }
  /// The uses of the operands are noted. The task may run and go from here on.
  void set_noted() { is_noted_.store(true, std::memory_order_release); }

  void run() override {
    await_noted();
    if (!position_.is_set()) {
      run_current();
      return;
    }
    const order::check::TaskScope scope(position_);
    run_current();
  }
  void skip(const std::exception_ptr& error) override {
    await_noted();
    task_->skip(error);
  }
  [[nodiscard]] backend::Lane* lane() const override { return task_->lane(); }

 private:
  void run_current() {
    struct Restore {
      Device device;
      order::Stream* outer;
      ~Restore() { exchange_current_stream(device, outer); }
    };
    const Restore restore{stream_->device(),
                          exchange_current_stream(stream_->device(), stream_.get())};
    const RunningTask running(operands_);
    task_->run();
  }

  // A task that hands an operand on to another stream must be behind itself, so it begins when its
  // uses are noted: that comes after it was queued, and soon.
  void await_noted() const {
    while (!is_noted_.load(std::memory_order_acquire)) std::this_thread::yield();
  }

  std::unique_ptr<backend::HostTask> task_;
  Ref<order::Stream> stream_;
  std::atomic<bool> is_noted_{false};
  std::vector<Ref<TensorData>> operands_;
  order::check::Position position_;
};

}  // namespace

order::Stream*& current_stream_place(Device device) {
  const auto index = device.is_cpu() ? 0u : static_cast<std::size_t>(device.index) + 1;
  if (index >= current_streams.size()) throw_error<DeviceError>("no device {}", device.str());
  return current_streams[index];
}

order::Stream* current_stream(Device device) { return current_stream_place(device); }

order::Stream* exchange_current_stream(Device device, order::Stream* stream) {
  return std::exchange(current_stream_place(device), stream);
}

order::Stream& working_stream(Device device) {
  if (order::Stream* current = current_stream(device)) return *current;
  struct Kept {
    SpinLock lock;
    std::array<Ref<order::Stream>, 64> streams;
  };
  static auto* kept = new Kept;  // kept for ever: threads may end after static destruction
  const auto index = static_cast<std::size_t>(device.index);
  if (index >= kept->streams.size()) throw_error<DeviceError>("no device {}", device.str());
  const std::lock_guard guard(kept->lock);
  Ref<order::Stream>& stream = kept->streams[index];
  if (!stream) stream = order::Stream::make(device);
  return *stream;
}

order::check::Tag tag(const char* what, std::string place) {
  if (!order::check::is_on()) return {};
  return {what, std::move(place), order::check::label()};
}

void wait_for_operands(order::Stream& stream, std::span<const Operand> operands) {
  for (const Operand& operand : operands) {
    memory::Block& block = *operand.tensor->block;
    const Positions positions = conflicts(block, operand.is_write);
    block.wait_on(stream, operand.is_write);
    if (stream.actor() == nullptr) continue;
    for (const auto& position : positions) order::check::wait(*stream.actor(), position);
  }
}

void note_operands(order::Stream& stream, std::span<const Operand> operands,
                   const order::check::Tag& tag, const order::check::Position& position) {
  for (const Operand& operand : operands) operand.tensor->block->used(stream, operand.is_write);
  if (!position.is_set()) return;
  for (const Operand& operand : operands) {  // all uses are noted by now: this may throw
    if (auto* shadow = operand.tensor->block->shadow(); shadow != nullptr) {
      order::check::access(*shadow, position, operand.tensor->range(), operand.is_write, tag);
    }
  }
}

bool sync_for(TensorData& tensor, bool for_write, std::int64_t deadline_ns) {
  if (RunningTask::has(*tensor.block)) return true;
  const Positions positions = conflicts(*tensor.block, for_write);
  if (!tensor.block->sync(for_write, deadline_ns)) return false;
  for (const auto& position : positions) order::check::host_wait(position);
  return true;
}

void host_access(std::span<const Operand> operands, const order::check::Tag& tag) {
  for (const Operand& operand : operands) {
    static_cast<void>(sync_for(*operand.tensor, operand.is_write, kNever));
  }
  if (!order::check::is_on()) return;
  for (const Operand& operand : operands) {
    if (auto* shadow = operand.tensor->block->shadow(); shadow != nullptr) {
      order::check::access(*shadow, order::check::host_access(), operand.tensor->range(),
                           operand.is_write, tag);
    }
  }
}

void note_use(TensorData& tensor, order::Stream& stream, bool is_write, bool wait,
              const order::check::Tag& tag) {
  const std::array operands{Operand{&tensor, is_write}};
  if (wait) wait_for_operands(stream, operands);
  tensor.block->used(stream, is_write, true);
  if (stream.actor() == nullptr) return;
  if (auto* shadow = tensor.block->shadow(); shadow != nullptr) {
    order::check::access(*shadow, order::check::enqueue(*stream.actor()), tensor.range(), is_write,
                         tag);
  }
}

order::check::Position enqueue(order::Stream& stream, std::unique_ptr<backend::HostTask> task,
                               std::span<const Operand> operands, const order::check::Tag& tag) {
  if (!stream.device().is_cpu()) {
    throw_error<StreamError>(
        "launch: {} has no host functions in stream order; use a CPU stream, or an operator",
        stream.device().str());
  }
  wait_for_operands(stream, operands);
  auto wrapped = std::make_unique<TensorTask>(std::move(task), operands, stream);
  order::check::Position position;
  if (stream.actor() != nullptr) {
    position = order::check::enqueue(*stream.actor());
    wrapped->set_position(position);
  }
  // The last use of an operand may be the task's own reference: they are noted while we hold them.
  struct Noted {
    TensorTask& task;
    ~Noted() { task.set_noted(); }
  };
  TensorTask& task_queued = *wrapped;
  stream.backend().launch(stream.handle(), std::move(wrapped));
  const Noted noted{task_queued};  // also when the checker throws
  static_cast<void>(stream.use());
  note_operands(stream, operands, tag, position);
  return position;
}

void fill_bytes(const Tensor& target, std::uint8_t value, order::Stream* stream) {
  TensorData& data = target.impl();
  if (data.size() == 0) return;
  const auto bytes = data.block->bytes();
  std::byte* begin = data.block->data();
  if (!data.device.is_cpu()) {
    order::Stream& on = stream == nullptr ? working_stream(data.device) : *stream;
    data.block->wait_on(on, true);
    on.backend().fill(begin, value, bytes, on.handle());
    data.block->used(on, true);
    return;
  }
  const std::array operands{Operand{&data, true}};
  run_work(stream, operands, "zeros",
           [begin, value, bytes] { std::fill_n(begin, bytes, std::byte{value}); });
}

}  // namespace penstock
