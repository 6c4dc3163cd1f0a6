#include "pybridge/current.hpp"

#include "base/throw.hpp"
#include "pybridge/library_scope.hpp"
#include "pybridge/stream_library.hpp"
#include "tensor/work.hpp"

#include <utility>
#include <vector>

namespace penstock::pybridge {
namespace {

// A block, with the stream that was current before; or a task, where that is nobody's business.
struct Entered {
  Stream stream;
  std::optional<Stream> outer;
  bool is_task = false;
  std::vector<nb::object> saved{};  // what was current in each library, for a stream of a GPU
};

thread_local std::vector<Entered> entered;

// What is current in each library, on each GPU that is in use, is so again at the end.
class KeptStreams {
 public:
  KeptStreams() {
    const auto libraries = stream_libraries();
    if (libraries.empty()) return;
    for (int device = 0; device < device_count(); ++device) {
      if (!is_in_use(Device::cuda(device))) continue;
      for (const auto& library : libraries) {
        kept_.push_back({*library, device, library->current(device), library->save(device)});
      }
    }
  }
  ~KeptStreams() {
    const nb::error_scope raised;  // what the operator raised goes on
    for (const Kept& kept : kept_) {
      if (kept.streams.is_current(kept.device, kept.handle)) continue;
      try {
        kept.streams.restore(kept.device, kept.stream);
      } catch (nb::python_error& error) {
        error.discard_as_unraisable("a stream that was current before an operator was called");
      }
    }
  }
  KeptStreams(const KeptStreams&) = delete;
  KeptStreams& operator=(const KeptStreams&) = delete;

 private:
  struct Kept {
    StreamLibrary& streams;
    int device;
    std::uintptr_t handle;
    nb::object stream;
  };
  std::vector<Kept> kept_;
};

void leave_last() {
  const Entered last = std::move(entered.back());
  entered.pop_back();
  if (last.is_task) return;
  const auto libraries = last.saved.empty() ? decltype(stream_libraries()){} : stream_libraries();
  for (std::size_t i = 0; i < last.saved.size(); ++i) {
    libraries[i]->restore(last.stream.device().index, last.saved[i]);
  }
  exchange_current_stream(last.stream.device(), last.outer ? &last.outer->impl() : nullptr);
}

}  // namespace

void enter(const Stream& stream) {
  Entered block{stream, Stream::current(stream.device())};
  if (!stream.device().is_cpu()) {
    const int device = stream.device().index;
    for (const auto& library : stream_libraries()) {
      block.saved.push_back(library->save(device));
      library->make_current(device, stream.handle());
    }
    LibraryScope::note_entered(stream.impl());
  }
  entered.push_back(std::move(block));
  exchange_current_stream(stream.device(), &stream.impl());
}

void leave(const Stream& stream) {
  if (entered.empty() || entered.back().is_task || !(entered.back().stream == stream)) {
    throw_error<StreamError>("with stream: left on another thread or out of turn");
  }
  leave_last();
}

std::optional<Device> entered_device() {
  if (entered.empty()) return std::nullopt;
  return entered.back().stream.device();
}

nb::object call_directly(nb::handle f, const nb::tuple& args, const nb::dict& words) {
  const KeptStreams kept;
  return f(*args, **words);
}

KeptBlocks::KeptBlocks(std::vector<Stream>& open) : open_(open), outer_(entered.size()) {
  for (const Stream& stream : std::exchange(open_, {})) enter(stream);
}

KeptBlocks::~KeptBlocks() {
  for (std::size_t i = outer_; i < entered.size(); ++i) open_.push_back(entered[i].stream);
  while (entered.size() > outer_) leave_last();
}

EnteredTask::EnteredTask(const Stream& stream) : outer_(entered.size()) {
  entered.push_back({stream, std::nullopt, true, {}});
}
EnteredTask::~EnteredTask() {
  while (entered.size() > outer_) leave_last();
}

}  // namespace penstock::pybridge
