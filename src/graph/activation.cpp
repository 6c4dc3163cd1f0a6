#include "graph/activation.hpp"

#include "base/time.hpp"

#include <algorithm>
#include <utility>

namespace penstock::graph {

void Activation::emit(std::uint32_t port, MessageRef message, std::size_t item) {
  const auto place = static_cast<std::uint32_t>(item < items() ? item : 0);
  const MessageData* from = lead(item);
  if (message->ref_count() > 1) [[unlikely]] {
    // Others see it too: it goes on as it is, once, or as a new message with the same value.
    const bool is_first = std::ranges::find(outputs, message, &Staged::message) == outputs.end();
    if (message.get() == from && is_first) {
      outputs.push_back({std::move(message), port, place});
      return;
    }
    message = MessageData::share(*message);
  }
  if (from != nullptr) {
    message->inherit(*from);
  } else {
    message->origin = origin;
    message->weight = MessageData::kWhole;
    message->born_ns = now_ns();
  }
  outputs.push_back({std::move(message), port, place});
}

std::size_t Activation::lead_port() const {
  for (std::size_t p = 0; p < ports(); ++p) {
    for (const MessageRef& item : port(p)) {
      if (item && item.get() == lead()) return p;
    }
  }
  return 0;
}

void Activation::replace(const MessageRef& item, MessageRef with) {
  for (MessageData*& lead : leads_) {
    if (lead == item.get()) lead = with.get();
  }
  items_[static_cast<std::size_t>(&item - items_.data())] = std::move(with);
}

void Activation::clear() {
  drop_inputs();
  outputs.clear();
  gaps.clear();
  is_source = false;
  keeps_weight = false;
  ended = false;
  if (error) error = nullptr;
  is_skipped = false;
  unmatched = 0;
}

}  // namespace penstock::graph
