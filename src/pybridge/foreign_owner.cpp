#include "pybridge/foreign_owner.hpp"

namespace penstock::pybridge {
namespace {

class ObjectOwner final : public ForeignOwner {
 public:
  explicit ObjectOwner(nb::handle object) : object_(object.inc_ref().ptr()) {}
  ~ObjectOwner() override { Py_DECREF(object_); }
  void abandon() override { forget_on_release(); }

 private:
  PyObject* object_;
};

template <class Managed>
class ManagedOwner final : public ForeignOwner {
 public:
  explicit ManagedOwner(Managed* managed) : managed_(managed) {}
  ~ManagedOwner() override {
    if (managed_ != nullptr && managed_->deleter != nullptr) managed_->deleter(managed_);
  }
  void abandon() override {
    forget_on_release();
    managed_ = nullptr;
  }

 private:
  Managed* managed_;
};

class BufferOwner final : public ForeignOwner {
 public:
  explicit BufferOwner(const Py_buffer& buffer) : buffer_(buffer) {}
  ~BufferOwner() override { PyBuffer_Release(&buffer_); }
  void abandon() override { forget_on_release(); }

 private:
  Py_buffer buffer_;
};

std::unique_ptr<ForeignOwner> with(std::unique_ptr<ForeignOwner> owner, nb::handle on_release) {
  start_retiring();
  owner->set_on_release(on_release);
  return owner;
}

}  // namespace

ForeignOwner::~ForeignOwner() {
  if (on_release_ == nullptr) return;
  PyObject* result = PyObject_CallNoArgs(on_release_);
  if (result == nullptr) PyErr_WriteUnraisable(on_release_);
  Py_XDECREF(result);
  Py_DECREF(on_release_);
}

void ForeignOwner::set_on_release(nb::handle callable) {
  if (!callable.is_none()) on_release_ = callable.inc_ref().ptr();
}

// A deleter may not see an exception that is being handled, nor leave one behind.
void ForeignOwner::release(void* context) {
  retire(
      [](void* owner) {
        PyObject* type = nullptr;
        PyObject* value = nullptr;
        PyObject* traceback = nullptr;
        PyErr_Fetch(&type, &value, &traceback);
        delete static_cast<ForeignOwner*>(owner);
        if (PyErr_Occurred() != nullptr) PyErr_WriteUnraisable(nullptr);
        PyErr_Restore(type, value, traceback);
      },
      context);
}

std::unique_ptr<ForeignOwner> keep_object(nb::handle object, nb::handle on_release) {
  return with(std::make_unique<ObjectOwner>(object), on_release);
}
std::unique_ptr<ForeignOwner> keep_managed(dlpack::ManagedVersioned* managed,
                                           nb::handle on_release) {
  return with(std::make_unique<ManagedOwner<dlpack::ManagedVersioned>>(managed), on_release);
}
std::unique_ptr<ForeignOwner> keep_managed(dlpack::Managed* managed, nb::handle on_release) {
  return with(std::make_unique<ManagedOwner<dlpack::Managed>>(managed), on_release);
}
std::unique_ptr<ForeignOwner> keep_buffer(const Py_buffer& buffer, nb::handle on_release) {
  return with(std::make_unique<BufferOwner>(buffer), on_release);
}

}  // namespace penstock::pybridge
