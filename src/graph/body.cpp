#include "graph/body.hpp"

#include "base/throw.hpp"
#include "tensor/tensor_data.hpp"

namespace penstock::graph {

bool Body::may_write(const MessageData& message) {
  const Tensor* tensor = message.tensor();
  if (tensor == nullptr || tensor->readonly()) return false;
  const TensorData& data = tensor->impl();
  return data.block->is_own() && data.ref_count() == 1 && data.block->ref_count() == 1;
}

MessageRef Body::copy(const MessageData& message) {
  const Tensor* tensor = message.tensor();
  if (tensor == nullptr) {
    throw_error<GraphError>(
        "writes: an input that is written got a value that is shared and is no tensor; only "
        "tensors are copied");
  }
  MessageRef own = MessageRef::adopt(Message::of(tensor->copy()).leak());
  own->inherit(message);
  return own;
}

bool BodyFactory::is_fatal(const std::exception_ptr& error) const {
  try {
    std::rethrow_exception(error);
  } catch (const DeviceError&) {
    return true;
  } catch (const OutOfMemory&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace penstock::graph
