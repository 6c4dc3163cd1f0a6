// What operators pass on: a value with its origin, a time and metadata. A Message is a reference;
// copies share the value, which nobody changes while others may see it. Thread-safe, but for
// assigning one Message object from two threads.
#pragma once

#include <penstock/export.hpp>
#include <penstock/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

namespace penstock {

class MessageData;

inline constexpr std::uint32_t kNoSub = UINT32_MAX;

/// Where a message descends from: a source, the number of its activation there, and, when one
/// activation emitted several on a port, which of them.
struct Origin {
  std::uint32_t source = 0;
  std::uint32_t sub = kNoSub;
  std::uint64_t number = 0;

  friend bool operator==(const Origin&, const Origin&) = default;
};

/// What a message says of itself by name, a frame's colour matrix say. It passes through operators.
struct Opaque {
  std::shared_ptr<void> value;
  /// A name for what the value is; its owner compares the pointer.
  const char* kind = nullptr;
};
using MetadataValue = std::variant<bool, std::int64_t, double, std::string, Opaque>;
using Metadata = std::map<std::string, MetadataValue, std::less<>>;

/// What the library has to know of a type of values.
struct ValueType {
  const std::type_info* info;
  /// nullptr if there is nothing to do.
  void (*destroy)(void* storage) noexcept;
  /// The value as a tensor, nullptr if it is none; itself nullptr if none ever is.
  const Tensor* (*tensor)(const void* storage) noexcept;
  /// Calls back for each tensor of a value that is not one itself; nullptr if it has none.
  void (*tensors)(const void* storage, void (*visit)(void* context, const Tensor&),
                  void* context) = nullptr;
};

namespace detail {

inline constexpr std::size_t kValueBytes = 48;

// Small values lie in the message, others behind a pointer.
template <class T>
inline constexpr bool kIsInline =
    sizeof(T) <= kValueBytes && alignof(T) <= 16 && std::is_nothrow_move_constructible_v<T>;

template <class T>
[[nodiscard]] T& value_at(void* storage) {
  if constexpr (kIsInline<T>) {
    return *std::launder(static_cast<T*>(storage));
  } else {
    return **std::launder(static_cast<T**>(storage));
  }
}

template <class T>
void destroy_value(void* storage) noexcept {
  if constexpr (kIsInline<T>) {
    value_at<T>(storage).~T();
  } else {
    delete *std::launder(static_cast<T**>(storage));
  }
}

inline const Tensor* tensor_in(const void* storage) noexcept {
  return &value_at<Tensor>(const_cast<void*>(storage));
}

template <class T>
constexpr auto destroyer_of() -> decltype(ValueType::destroy) {
  if constexpr (kIsInline<T> && std::is_trivially_destructible_v<T>) return nullptr;
  return &destroy_value<T>;
}

// Values that say which tensors they hold, and vectors of tensors.
template <class T>
concept HoldsTensors = requires(const T& value) { value.for_each_tensor([](const Tensor&) {}); };

template <class T>
void visit_tensors(const void* storage, void (*visit)(void* context, const Tensor&),
                   void* context) {
  const T& value = value_at<T>(const_cast<void*>(storage));
  if constexpr (HoldsTensors<T>) {
    value.for_each_tensor([&](const Tensor& tensor) { visit(context, tensor); });
  } else {
    for (const Tensor& tensor : value) visit(context, tensor);
  }
}

template <class T>
inline constexpr bool kHasTensors = HoldsTensors<T> || std::is_same_v<T, std::vector<Tensor>>;

template <class T>
constexpr auto visitor_of() -> decltype(ValueType::tensors) {
  if constexpr (kHasTensors<T>) return &visit_tensors<T>;
  return nullptr;
}

template <class T>
inline const ValueType value_type{&typeid(T), destroyer_of<T>(),
                                  std::is_same_v<T, Tensor> ? &tensor_in : nullptr,
                                  visitor_of<T>()};

/// "TensorMap", "std::string": a type's name for messages and ports.
[[nodiscard]] PENSTOCK_API std::string type_name(const std::type_info& type);

}  // namespace detail

class PENSTOCK_API Message {
 public:
  /// No message.
  Message() = default;
  /// A message of its own with that value.
  template <class T>
  [[nodiscard]] static Message of(T value) {
    void* storage = nullptr;
    if constexpr (detail::kIsInline<T>) {
      Message message(allocate(detail::value_type<T>, storage));
      new (storage) T(std::move(value));
      return message;
    } else {
      auto held = std::make_unique<T>(std::move(value));
      Message message(allocate(detail::value_type<T>, storage));
      new (storage) T*(held.release());
      return message;
    }
  }
  explicit Message(MessageData* adopted) : data_(adopted) {}
  Message(const Message& other);
  Message(Message&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Message& operator=(Message other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Message() {
    if (data_ != nullptr) release();
  }

  explicit operator bool() const { return data_ != nullptr; }
  /// The value, nullptr if it is of another type. A Tensor for whatever is one.
  template <class T>
  [[nodiscard]] const T* get_if() const {
    if constexpr (std::is_same_v<T, Tensor>) return tensor();
    void* value = find(typeid(T));
    return value == nullptr ? nullptr : &detail::value_at<T>(value);
  }
  /// The value; ArgumentTypeError that names both types if it is of another.
  template <class T>
  [[nodiscard]] const T& get() const {
    const T* value = get_if<T>();
    if (value == nullptr) refuse(typeid(T));
    return *value;
  }
  [[nodiscard]] const Tensor* tensor() const;
  [[nodiscard]] const std::type_info& type() const;

  [[nodiscard]] const Origin& origin() const;
  /// The source's time of it, nanoseconds; -1 where there is none.
  [[nodiscard]] std::int64_t time_ns() const;
  /// nullptr where there is none.
  [[nodiscard]] const Metadata* metadata() const;

  /// Of a message of one's own, before it is emitted by a source.
  void set_time_ns(std::int64_t time_ns);
  void set_metadata(Metadata metadata);

  [[nodiscard]] MessageData* data() const { return data_; }
  [[nodiscard]] MessageData* leak() { return std::exchange(data_, nullptr); }

 private:
  /// Its value is to be put into `storage`.
  [[nodiscard]] static MessageData* allocate(const ValueType& type, void*& storage);
  /// Where the value is; nullptr if it is of another type.
  [[nodiscard]] void* find(const std::type_info& type) const;
  [[noreturn]] void refuse(const std::type_info& wanted) const;
  void release();

  MessageData* data_ = nullptr;
};

}  // namespace penstock
