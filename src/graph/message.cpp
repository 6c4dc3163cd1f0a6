#include "graph/message_data.hpp"

#include "base/spin_lock.hpp"
#include "base/throw.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace penstock {
namespace {

constexpr int kBatch = 64;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

}  // namespace

std::string detail::type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  std::string text = name ? name.get() : type.name();
  replace_all(text,
              "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
              "std::string");
  replace_all(text, "penstock::", "");
  return text;
}

// A thread keeps up to two batches; one that only frees gives whole batches away, one that only
// makes takes them. The shared list is locked once for each batch.
struct MessagePool {
  struct Batch {
    MessageData* first = nullptr;
    int count = 0;
    Batch* next = nullptr;
  };
  struct Shared {
    SpinLock lock;
    MessageData* batches = nullptr;  // the first of each batch; storage links
  };

  MessageData* free = nullptr;
  MessageData* full = nullptr;  // a second batch, whole
  int count = 0;

  ~MessagePool() {
    while (free != nullptr) delete take();
    if (full != nullptr) give(full);
  }

  static Shared& shared() {
    static auto* lists = new Shared;
    return *lists;
  }
  static MessageData*& next_batch(MessageData* batch) {
    return *reinterpret_cast<MessageData**>(batch->storage);
  }
  static void give(MessageData* batch) {
    const std::lock_guard guard(shared().lock);
    next_batch(batch) = shared().batches;
    shared().batches = batch;
  }

  MessageData* take() {
    MessageData* message = free;
    free = message->next;
    --count;
    return message;
  }

  MessageData* allocate() {
    if (free == nullptr && !refill()) return new MessageData;
    MessageData* message = take();
    message->reset_refs();
    return message;
  }

  void put_away() {
    if (full != nullptr) give(full);
    full = std::exchange(free, nullptr);
    count = 0;
  }

  bool refill() {
    if (full == nullptr) {
      const std::lock_guard guard(shared().lock);
      full = shared().batches;
      if (full != nullptr) shared().batches = next_batch(full);
    }
    if (full == nullptr) return false;
    free = full;
    full = nullptr;
    count = kBatch;
    return true;
  }

  void put(MessageData* message) {
    if (count == kBatch) [[unlikely]] {
      put_away();
    }
    message->next = free;
    free = message;
    ++count;
  }
};

namespace {
thread_local MessagePool pool;
}

MessageData* MessageData::allocate() { return pool.allocate(); }

Ref<MessageData> MessageData::gap(const Origin& origin, std::uint64_t weight) {
  MessageData* message = allocate();
  message->origin = origin;
  message->weight = weight;
  return Ref<MessageData>::adopt(message);
}

Ref<MessageData> MessageData::share(MessageData& other) {
  MessageData* message = allocate();
  message->inherit(other);
  message->type = other.type;
  message->stream = other.stream;
  message->ready = other.ready;
  message->is_borrowed = other.is_borrowed;
  message->is_given = other.is_given;
  message->sharer = other.sharer ? other.sharer : Ref<MessageData>::share(&other);
  return Ref<MessageData>::adopt(message);
}

void MessageData::dispose() {
  if (holds_something()) [[unlikely]] {
    drop_held();
  }
  type = nullptr;
  ready = {};
  is_borrowed = false;
  origin = {};
  weight = kWhole;
  time_ns = -1;
  born_ns = 0;
  is_given = false;
  pool.put(this);
}

bool MessageData::holds_something() const {
  return (type != nullptr && type->destroy != nullptr) || sharer || stream || metadata;
}

void MessageData::drop_held() {
  become_gap();
  metadata.reset();
}

void MessageData::become_gap() {
  if (sharer) {
    sharer = {};
  } else if (type != nullptr && type->destroy != nullptr) {
    type->destroy(storage);
  }
  type = nullptr;
  stream = {};
  ready = {};
  is_borrowed = false;
}

void MessageData::inherit(const MessageData& other) {
  origin = other.origin;
  weight = other.weight;
  time_ns = other.time_ns;
  born_ns = other.born_ns;
  if (!metadata && other.metadata) metadata = other.metadata;
}

Message::Message(const Message& other) : data_(other.data_) {
  if (data_ != nullptr) data_->retain();
}
void Message::release() { data_->release(); }
MessageData* Message::allocate(const ValueType& type, void*& storage) {
  MessageData* data = MessageData::allocate();
  data->type = &type;
  storage = data->storage;
  return data;
}

void* Message::find(const std::type_info& type) const {
  if (data_ == nullptr || data_->type == nullptr || *data_->type->info != type) return nullptr;
  return const_cast<void*>(data_->value());
}
void Message::refuse(const std::type_info& wanted) const {
  throw_error<ArgumentTypeError>("message: the value is {}, expected {}",
                                 data_ == nullptr ? "not there" : detail::type_name(type()),
                                 detail::type_name(wanted));
}
const Tensor* Message::tensor() const { return data_ == nullptr ? nullptr : data_->tensor(); }
const std::type_info& Message::type() const {
  return data_ == nullptr || data_->type == nullptr ? typeid(void) : *data_->type->info;
}
const Origin& Message::origin() const { return data_->origin; }
void Message::set_time_ns(std::int64_t time_ns) { data_->time_ns = time_ns; }
void Message::set_metadata(Metadata metadata) {
  data_->metadata = std::make_shared<const Metadata>(std::move(metadata));
}
std::int64_t Message::time_ns() const { return data_->time_ns; }
const Metadata* Message::metadata() const { return data_->metadata.get(); }

}  // namespace penstock
