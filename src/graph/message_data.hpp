// What a Message refers to. Made and freed without the heap once a thread has some: free ones lie
// in a list of the thread's own, and whole batches go over a shared list between threads that make
// and threads that free. Reference-counted, thread-safe as far as a Message is.
#pragma once

#include <penstock/message.hpp>

#include "base/ref.hpp"
#include "order/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace penstock {

class MessageData : public RefCounted<MessageData> {
 public:
  /// What one sender tells of one number of a source, values and gaps together.
  static constexpr std::uint64_t kWhole = std::uint64_t{1} << 40;

  [[nodiscard]] static MessageData* allocate();
  /// Says that nothing comes for that part of the origin's number.
  [[nodiscard]] static Ref<MessageData> gap(const Origin& origin, std::uint64_t weight);
  /// What comes in place of that message: nothing.
  [[nodiscard]] static Ref<MessageData> gap_for(const MessageData& message) {
    return gap(message.origin, message.weight);
  }

  /// Another message with the same value, for an origin of its own.
  [[nodiscard]] static Ref<MessageData> share(MessageData& other);

  /// The last holder needs no locked instruction: nobody is left to add a reference.
  void release() {
    if (ref_count() == 1) {
      dispose();
    } else {
      RefCounted::release();
    }
  }
  void dispose();
  [[nodiscard]] bool is_gap() const { return type == nullptr; }
  [[nodiscard]] const Tensor* tensor() const {
    return type == nullptr || type->tensor == nullptr ? nullptr : type->tensor(value());
  }
  /// Where the value is: here, or in the message that it is shared with.
  [[nodiscard]] const void* value() const { return sharer ? sharer->storage : storage; }
  /// The caller's reference is the only one to the value.
  [[nodiscard]] bool is_alone() const {
    return ref_count() == 1 && (!sharer || sharer->ref_count() == 1);
  }
  [[nodiscard]] bool may_hold_tensors() const {
    return type != nullptr && (type->tensors != nullptr || tensor() != nullptr || ready.mark != 0);
  }
  /// Calls body(tensor) for each tensor of the value.
  template <class Body>
  void for_each_tensor(Body&& body) const {
    if (const Tensor* own = tensor(); own != nullptr) {
      body(*own);
    } else if (type != nullptr && type->tensors != nullptr) {
      type->tensors(
          value(),
          [](void* context, const Tensor& one) {
            (*static_cast<std::remove_reference_t<Body>*>(context))(one);
          },
          const_cast<void*>(static_cast<const void*>(&body)));
    }
  }
  /// Drops the value: a gap remains.
  void become_gap();
  /// Origin, weight, time and metadata of another.
  void inherit(const MessageData& other);

  const ValueType* type = nullptr;
  Origin origin;
  /// The part of its number that it is: several that one activation emitted share one's.
  std::uint64_t weight = kWhole;
  std::int64_t time_ns = -1;
  /// When the source emitted it, on the clock of now_ns(); 0 if unknown.
  std::int64_t born_ns = 0;
  std::shared_ptr<const Metadata> metadata;
  /// The stream that it was emitted on, if one was named or used.
  Ref<order::Stream> stream;
  /// When another library's objects in it are ready on that stream; mark 0: nothing is known.
  order::Point ready;
  /// Their memory may be used again in the order of other streams.
  bool is_borrowed = false;
  /// Its emitter gives up the value: a consumer that writes may have it without a copy.
  bool is_given = false;
  /// Has the value, if this one has not.
  Ref<MessageData> sharer;
  MessageData* next = nullptr;  // in a list of free or of dropped messages
  /// Of a dropped one: twice the entries of its ring before it, plus 1 if it was one of them.
  std::uint64_t place = 0;
  alignas(16) std::byte storage[detail::kValueBytes];

 private:
  friend class RefCounted<MessageData>;
  friend struct MessagePool;
  MessageData() = default;
  ~MessageData() = default;
  [[nodiscard]] bool holds_something() const;
  void drop_held();
};

}  // namespace penstock
