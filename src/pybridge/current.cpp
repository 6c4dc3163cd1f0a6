#include "pybridge/current.hpp"

#include "base/throw.hpp"
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

EnteredTask::EnteredTask(const Stream& stream) : outer_(entered.size()) {
  entered.push_back({stream, std::nullopt, true, {}});
}
EnteredTask::~EnteredTask() {
  while (entered.size() > outer_) leave_last();
}

}  // namespace penstock::pybridge
