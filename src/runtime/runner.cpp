#include "runtime/runner.hpp"

#include "base/time.hpp"
#include "memory/cache.hpp"
#include "runtime/run_state.hpp"
#include "tensor/work.hpp"

#include <algorithm>
#include <utility>

namespace penstock::runtime {
namespace {

// Shorter bodies don't pay for a wake-up; their time is read at every 16th run.
constexpr std::int64_t kLightNs = 5'000;
constexpr std::int64_t kSampleEvery = 16;

void add(std::atomic<std::int64_t>& counter, std::int64_t amount) {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

// What runs here works on the stream's device. What it allocates or asks there does not break a
// capture that somebody else is in: threads of a run are ours.
void enter_device(order::Stream& stream) {
  stream.backend().make_current(stream.device().index);
  thread_local bool is_relaxed = false;
  if (is_relaxed) return;
  stream.backend().exchange_capture_mode(backend::CaptureMode::relaxed);
  is_relaxed = true;
}

class CurrentInstanceStream {
 public:
  CurrentInstanceStream(Device device, order::Stream* stream)
      : place_(current_stream_place(device)), outer_(std::exchange(place_, stream)) {}
  ~CurrentInstanceStream() { place_ = outer_; }
  CurrentInstanceStream(const CurrentInstanceStream&) = delete;
  CurrentInstanceStream& operator=(const CurrentInstanceStream&) = delete;

 private:
  order::Stream*& place_;
  order::Stream* outer_;
};

}  // namespace

Runner::Runner(Node& node, int index, Executor& executor)
    : node_(node),
      index_(index),
      device_(node.owner().options().device),
      writes_inputs_(std::ranges::any_of(node.spec().inputs, &PortSpec::is_written)),
      range_name_(trace::range_name(node.planned().name)),
      executor_(&executor),
      flights_(node) {}
Runner::~Runner() {
  if (context_event_ != backend::EventHandle::none) {
    stream_->backend().destroy_event(context_event_);
  }
}

order::Stream& Runner::stream() {
  if (!stream_) {
    stream_ = node_.owner().stream_for(node_, index_);
    last_point_ = stream_->slot().now();
  }
  return *stream_;
}

// A GPU's is made once somebody works there or asks for it: that makes a context.
order::Stream* Runner::current_stream() {
  if (!stream_ && !device().is_cpu() && !backend::of(device()).is_in_use(device().index)) {
    return nullptr;
  }
  return &stream();
}

order::Stream& Runner::extra_stream(const std::string& name) {
  Ref<order::Stream>& stream = extra_[name];
  if (!stream) stream = order::Stream::make(device());
  return *stream;
}

const std::string& Runner::name() const { return node_.planned().name; }
void Runner::notify() { node_.notify(); }
bool Runner::is_stopping() const {
  return node_.owner().is_stopping() || node_.owner().is_aborted();
}
void Runner::stop_run() { node_.owner().stop(); }
void Runner::fail(std::exception_ptr error) {
  node_.owner().fail(node_, index_, nullptr, std::move(error));
}

bool Runner::start() {
  try {
    const CurrentInstanceStream current(device(), current_stream());
    body_ = node_.spec().factory->make(index_);
    body_->start(*this);
    is_started_ = true;
    return true;
  } catch (...) {
    body_.reset();
    fail(std::current_exception());
    return false;
  }
}

void Runner::stop() {
  if (!is_started_) return;
  is_started_ = false;
  try {
    const CurrentInstanceStream current(device(), current_stream());
    body_->stop();
  } catch (...) {
    fail(std::current_exception());
  }
  body_.reset();
  tell_of_lost_device();
}

// Nobody may have asked the device since the last work; and whose work broke it is not known: it is
// one of those whose work was not seen complete.
void Runner::tell_of_lost_device() {
  if (!stream_ || device().is_cpu()) return;
  const auto fault = stream_->backend().lost(device().index);
  if (fault) node_.owner().lose_device(node_, fault, !stream_->slot().was_complete(last_point_));
}

bool Runner::is_ready() {
  try {
    return !is_started_ || body_->ready();
  } catch (...) {
    fail(std::current_exception());
    return false;
  }
}

bool Runner::restart() {
  stop();
  return start();
}

// Else the node's inputs_complete() is called when they are.
bool Runner::are_inputs_complete(const graph::Activation& activation) {
  order::Points points;
  try {
    order_inputs(activation, points);
  } catch (...) {
    input_error_ = std::current_exception();
  }
  if (points.empty() || input_error_) return true;
  watches_.clear();
  watches_.resize(points.size());
  keep_alive_ = node_.owner().shared_from_this();
  waits_.store(true);
  gate_.emplace([](order::Gate* gate) {
    Runner& runner = *static_cast<InputGate*>(gate)->runner;
    const auto keep = std::move(runner.keep_alive_);
    runner.waits_.store(false);
    runner.node_.inputs_complete(runner);
  });
  gate_->runner = this;
  for (std::size_t i = 0; i < points.size(); ++i) watch(*gate_, points[i], watches_[i]);
  gate_->drop();
  return false;
}

// The stream waits for what devices do; what the host has to wait for is put into `points`.
void Runner::order_inputs(const graph::Activation& activation, order::Points& points) {
  for (std::size_t p = 0; p < activation.ports(); ++p) {
    const PortSpec& port = node_.spec().inputs[p];
    for (const MessageRef& message : activation.port(p)) {
      if (!message) continue;
      if (message->ready.mark != 0) order_message(*message, port.is_host, points);
      message->for_each_tensor([&](const Tensor& tensor) {
        memory::Block& block = *tensor.impl().block;
        if (!tensor.device().is_cpu() && !port.is_host) {
          block.wait_on(stream(), port.is_written);
          return;
        }
        if (!block.sync(port.is_written, 0)) block.collect(port.is_written, points);
      });
    }
  }
}

// A message of another library's objects: its work is known as a whole.
void Runner::order_message(const MessageData& message, bool is_host, order::Points& points) {
  if (!is_host && !device().is_cpu()) {
    stream().wait(message.ready);
  } else if (!order::sync(message.ready, 0)) {
    points.push_back(message.ready);
  }
}

bool Runner::has_room_in_flight() { return flights_.has_room(node_.spec().options.in_flight); }

bool Runner::ask_for_memory() {
  is_admitted_ = node_.owner().admission().enter(last_bytes_);
  if (is_admitted_) admitted_bytes_ = last_bytes_;
  return is_admitted_;
}

void Runner::retract() {
  if (std::exchange(is_admitted_, false)) node_.owner().admission().leave(admitted_bytes_);
}

void Runner::run(graph::Activation& activation) {
  const trace::Range range(range_name_);
  const std::int64_t count = activations_.load(std::memory_order_relaxed);
  const bool is_timed = !is_light_ || count % kSampleEvery == 0;
  const std::int64_t begun = is_timed ? now_ns() : 0;
  runs_since_ns_.store(begun, std::memory_order_relaxed);
  const std::int64_t allocated = memory::Cache::allocated_here();
  {
    const CurrentInstanceStream current(device(), current_stream());
    if (input_error_) {
      activation.error = std::exchange(input_error_, nullptr);
      fail_activation(activation, activation.lead());
    } else {
      run_body(activation, true);
    }
  }
  last_bytes_ = memory::Cache::allocated_here() - allocated;
  retract();
  if (node_.spec().options.sync_context) follow_context(activation);
  if (stream_ && !device().is_cpu()) note_tensors(activation);
  note_stream(activation);
  if (activation.unmatched != 0) add(unmatched_, activation.unmatched);
  activations_.store(count + 1, std::memory_order_relaxed);
  if (!is_timed) return;
  const std::int64_t elapsed = now_ns() - begun;
  const std::int64_t weight = is_light_ ? kSampleEvery : 1;
  runs_since_ns_.store(0, std::memory_order_relaxed);  // before: a look between misses it, once
  add(busy_ns_, elapsed * weight);
  times_.record(elapsed);
  const std::int64_t average = count == 0 ? elapsed : (average_ns() * 7 + elapsed) / 8;
  average_ns_.store(average, std::memory_order_relaxed);
  is_light_ = count >= kSampleEvery && average < kLightNs;
}

void Runner::run_body(graph::Activation& activation, bool may_retry) {
  try {
    if (stream_ && !device().is_cpu()) enter_device(*stream_);
    if (writes_inputs_) make_private(activation);
    body_->run(activation);
  } catch (...) {
    activation.error = std::current_exception();
    activation.outputs.clear();
    if (may_retry && activation.items() > 1 && !node_.spec().factory->is_fatal(activation.error)) {
      activation.error = nullptr;
      run_singly(activation);
    } else {
      fail_activation(activation, activation.lead());
    }
  }
}

// One bad item of a batch fails alone.
void Runner::run_singly(graph::Activation& activation) {
  if (!single_) single_ = std::make_unique<graph::Activation>();
  for (std::size_t item = 0; item < activation.items(); ++item) {
    single_->clear();
    for (std::size_t p = 0; p < activation.ports(); ++p) {
      single_->begin_port();
      single_->add(activation.port(p)[item]);
    }
    single_->end_ports();
    single_->add_lead(const_cast<MessageData*>(activation.lead(item)));
    run_body(*single_, false);
    for (graph::Staged& staged : single_->outputs) {
      staged.item = static_cast<std::uint32_t>(item);
      activation.outputs.push_back(std::move(staged));
    }
    if (node_.owner().is_aborted() || !is_started_) break;
  }
  single_->clear();
}

void Runner::fail_activation(graph::Activation& activation, const MessageData* lead) {
  activation.is_skipped = true;
  activation.outputs.clear();
  const std::exception_ptr error = std::exchange(activation.error, nullptr);
  if (!handle_error(error, lead)) {
    const Origin* origin = lead != nullptr        ? &lead->origin
                           : activation.is_source ? &activation.origin
                                                  : nullptr;
    node_.owner().fail(node_, index_, origin, error);
  } else if (activation.is_source) {
    activation.ended = true;  // a source that raised has nothing more to say
  }
}

// False: the run fails.
bool Runner::handle_error(const std::exception_ptr& error, const MessageData* lead) {
  const OperatorOptions& own = node_.spec().options;
  const RunOptions& run = node_.owner().options();
  if (node_.spec().factory->is_fatal(error)) return false;
  const OnError policy = own.is_on_error_set ? own.on_error : run.on_error;
  if (policy == OnError::raise) return false;
  {
    const std::lock_guard guard(error_mutex_);
    last_error_ = error;
  }
  add(skipped_, 1);
  const std::int64_t most = own.max_errors;
  if (most >= 0 && skipped() > most) return false;
  if (policy == OnError::restart) return restart();
  if (policy == OnError::call) {
    const auto& call = own.is_on_error_set ? own.on_error_call : run.on_error_call;
    if (lead != nullptr) lead->retain();
    const Message message(const_cast<MessageData*>(lead));
    try {
      call(error, message);
    } catch (...) {
      fail(std::current_exception());
    }
  }
  return true;
}

// Inputs that are written must be this activation's alone.
void Runner::make_private(graph::Activation& activation) {
  const auto& inputs = node_.spec().inputs;
  for (std::size_t p = 0; p < inputs.size() && p < activation.ports(); ++p) {
    if (!inputs[p].is_written) continue;
    for (const MessageRef& shared : activation.port(p)) {
      if (!shared) continue;
      if (shared->is_given || (shared->is_alone() && body_->may_write(*shared))) continue;
      MessageRef own = body_->copy(*shared);
      node_.count_copy(p);
      if (shared->ready.mark != 0) flights_.hold(shared);  // it is read until the copy is complete
      activation.replace(shared, std::move(own));
    }
  }
}

// What the body launched on its stream was not seen: it may have read what came in, or written it
// where it may, and it made what goes out.
void Runner::note_tensors(const graph::Activation& activation) {
  const auto note = [this](const MessageRef& message, bool is_write) {
    if (!message) return;
    message->for_each_tensor([&](const Tensor& tensor) {
      if (tensor.device().is_cpu()) return;
      tensor.impl().block->used(stream(), is_write);
      tensor.impl().block->settle(stream());
    });
  };
  const auto& inputs = node_.spec().inputs;
  for (std::size_t p = 0; p < activation.ports(); ++p) {
    for (const MessageRef& message : activation.port(p)) note(message, inputs[p].is_written);
  }
  for (const graph::Staged& staged : activation.outputs) {
    const Ref<order::Stream>& named = staged.message->stream;
    if (!named || named.get() == stream_.get()) note(staged.message, true);
  }
}

// Work that the activation left on its stream counts as in flight until it is complete. On a GPU
// the body's other libraries submit it unseen, so it is taken for granted.
void Runner::note_stream(const graph::Activation& activation) {
  if (!stream_) return;
  const order::Point point = stream_->slot().now();
  const bool is_same = std::exchange(last_point_, point) == point;
  if ((is_same && device().is_cpu()) || is_complete(point)) return;
  for (const MessageRef& message : activation.all()) {
    if (!message || message->ready.mark == 0) continue;
    if (message->is_borrowed || message->ready.slot != point.slot) flights_.hold(message);
  }
  flights_.add(point);
}

// What was emitted is ordered behind everything that is on the device now, whoever put it there.
void Runner::follow_context(const graph::Activation& activation) {
  backend::Backend& device = stream().backend();
  if (context_event_ == backend::EventHandle::none) {
    context_event_ = device.create_event(this->device().index);
  }
  device.record_context(context_event_, this->device().index);
  device.wait(stream().handle(), context_event_);
  for (const graph::Staged& staged : activation.outputs) {
    staged.message->for_each_tensor(
        [this](const Tensor& tensor) { tensor.impl().block->used(stream(), true); });
  }
}

std::exception_ptr Runner::last_error() const {
  const std::lock_guard guard(error_mutex_);
  return last_error_;
}

}  // namespace penstock::runtime
