// How host work over tensors is ordered: queued on a stream after what its accesses wait for, or
// done in the calling thread before the call returns. The one place where tensors, streams and the
// checker meet.
#pragma once

#include "base/time.hpp"
#include "tensor/tensor_data.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace penstock {

/// The calling thread's current stream for the device, nullptr if none.
[[nodiscard]] order::Stream* current_stream(Device device);
/// Where it is kept, for this thread's life.
[[nodiscard]] order::Stream*& current_stream_place(Device device);
/// Sets it and returns the one before. The caller keeps the stream alive.
order::Stream* exchange_current_stream(Device device, order::Stream* stream);

/// Where work on a GPU goes: its current stream, else one that the process keeps for it.
[[nodiscard]] order::Stream& working_stream(Device device);

/// One tensor of a piece of work, by reference.
struct Operand {
  TensorData* tensor;
  bool is_write;
};

/// What is told of an access to the checker.
[[nodiscard]] order::check::Tag tag(const char* what, std::string place = {});

/// Makes the stream wait for what the operands need; notes nothing.
void wait_for_operands(order::Stream& stream, std::span<const Operand> operands);
/// Notes that work just enqueued on the stream uses the operands.
void note_operands(order::Stream& stream, std::span<const Operand> operands,
                   const order::check::Tag& tag, const order::check::Position& position);
/// Waits on the host for the uses that a host read (or write) has to follow, and tells the checker.
[[nodiscard]] bool sync_for(TensorData& tensor, bool for_write, std::int64_t deadline_ns);
/// The same, and the access itself.
void host_access(std::span<const Operand> operands, const order::check::Tag& tag);

/// Notes a use by work that is queued by other means and may go on: ps::uses().
void note_use(TensorData& tensor, order::Stream& stream, bool is_write, bool wait,
              const order::check::Tag& tag);

/// Queues a task on a host stream, or on one whose lane runs it; keeps the operands alive until it
/// is over. Returns the checker's position of the task.
order::check::Position enqueue(order::Stream& stream, std::unique_ptr<backend::HostTask> task,
                               std::span<const Operand> operands, const order::check::Tag& tag);

/// Runs `body()` over the operands: on the stream if there is one (at once if the calling thread is
/// inside a task of that stream), else in this thread before it returns.
template <class Body>
void run_work(order::Stream* stream, std::span<const Operand> operands, const char* what,
              Body body);

void fill_bytes(const Tensor& target, std::uint8_t value, order::Stream* stream);
/// Packed memory for the elements of a tensor; contents undefined.
[[nodiscard]] Tensor packed_like(const Tensor& tensor, Device device, order::Stream* stream);
void copy_elements(const Tensor& source, const Tensor& target, order::Stream* stream);
/// Copies elements now, on this thread; shapes and types are equal.
void copy_strided(const TensorData& source, const TensorData& target);

// A body as a host task.
template <class Body>
class BodyTask final : public backend::HostTask {
 public:
  explicit BodyTask(Body body) : body_(std::move(body)) {}
  void run() override { body_(); }

 private:
  Body body_;
};

template <class Body>
void run_work(order::Stream* stream, std::span<const Operand> operands, const char* what,
              Body body) {
  if (stream == nullptr || stream->is_running_here()) {
    host_access(operands, tag(what));
    body();
    return;
  }
  enqueue(*stream, std::make_unique<BodyTask<Body>>(std::move(body)), operands, tag(what));
  // Now, or a host wait for these uses would wait for what comes later on the stream, too.
  static_cast<void>(stream->mark());
}

}  // namespace penstock
