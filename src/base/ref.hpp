// Intrusive reference counting: one atomic in the object, no control block.
// RefCounted<T> is a base whose last release calls T::dispose(), which frees or recycles.
// Ref<T> is the owning pointer. Counting is thread-safe; a single Ref object is not.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace penstock {

template <class T>
class RefCounted {
 public:
  void retain() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const_cast<T*>(static_cast<const T*>(this))->dispose();
    }
  }
  /// Adds a reference unless the last one is gone already. For registries that own nothing.
  [[nodiscard]] bool try_retain() const {
    std::uint32_t count = refs_.load(std::memory_order_relaxed);
    while (count != 0 &&
           !refs_.compare_exchange_weak(count, count + 1, std::memory_order_relaxed)) {
    }
    return count != 0;
  }
  [[nodiscard]] std::uint32_t ref_count() const { return refs_.load(std::memory_order_acquire); }

 protected:
  RefCounted() = default;
  ~RefCounted() = default;
  /// For objects that are recycled: the count of one that is taken from a free list.
  void reset_refs() { refs_.store(1, std::memory_order_relaxed); }

 private:
  mutable std::atomic<std::uint32_t> refs_{1};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  /// Takes over the reference that a new object is born with.
  [[nodiscard]] static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  /// Adds a reference.
  [[nodiscard]] static Ref share(T* object) {
    if (object != nullptr) object->retain();
    return adopt(object);
  }
  Ref(const Ref& other) : object_(other.object_) {
    if (object_ != nullptr) object_->retain();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->release();
  }

  [[nodiscard]] T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  /// Gives the reference away without releasing it.
  [[nodiscard]] T* leak() { return std::exchange(object_, nullptr); }
  friend bool operator==(const Ref& a, const Ref& b) { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

}  // namespace penstock
