#include "operators/operators.hpp"
#include "tensor/tensor_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

namespace penstock::operators {
namespace {

template <class T>
double read(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return static_cast<double>(value);
}

double read_bf16(const std::byte* at) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof bits);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// An element as text; none for types that are printed by no number.
std::optional<std::string> element(Dtype dtype, const std::byte* at) {
  const auto real = [](double value) { return fmt::format("{:.6g}", value); };
  if (dtype == u8 || dtype == b8) return real(read<std::uint8_t>(at));
  if (dtype == i8) return real(read<std::int8_t>(at));
  if (dtype == u16) return real(read<std::uint16_t>(at));
  if (dtype == i16) return real(read<std::int16_t>(at));
  if (dtype == u32) return real(read<std::uint32_t>(at));
  if (dtype == i32) return real(read<std::int32_t>(at));
  if (dtype == u64) return real(read<std::uint64_t>(at));
  if (dtype == i64) return real(read<std::int64_t>(at));
  if (dtype == f32) return real(read<float>(at));
  if (dtype == f64) return real(read<double>(at));
  if (dtype == bf16) return real(read_bf16(at));
  return std::nullopt;
}

// Where the n-th element in order is, from the first.
std::int64_t offset_of(const Tensor& tensor, std::int64_t n) {
  std::int64_t offset = 0;
  for (std::size_t dim = tensor.shape().size(); dim-- > 0;) {
    offset += n % tensor.shape()[dim] * tensor.strides()[dim];
    n /= tensor.shape()[dim];
  }
  return offset;
}

// The first elements, where a host thread can read them.
Tensor on_host(const Tensor& tensor, std::int64_t count) {
  if (tensor.device().is_cpu()) return tensor;
  Tensor head = tensor;
  // Rows beyond those that are printed stay where they are.
  for (int dim = 0; dim < tensor.ndim(); ++dim) {
    head = head.slice(dim, 0, std::min(head.shape()[static_cast<std::size_t>(dim)], count));
  }
  const Shape shape(head.shape().begin(), head.shape().end());
  Tensor copy = Tensor::empty(shape, tensor.dtype());
  head.copy_to(copy);
  copy.sync();
  return copy;
}

std::string first_values(const Tensor& tensor, int values) {
  const std::int64_t count = std::min<std::int64_t>(values, tensor.size());
  if (count <= 0) return "[]";
  const Tensor host = on_host(tensor, count);
  const auto* data = static_cast<const std::byte*>(host.data());
  std::string text;
  for (std::int64_t i = 0; i < std::min(count, host.size()); ++i) {
    const auto one = element(tensor.dtype(), data + offset_of(host, i));
    if (!one) return "";
    text += (i == 0 ? "" : ", ") + *one;
  }
  return fmt::format("[{}{}]", text, count < tensor.size() ? ", ..." : "");
}

std::string describe(const Tensor& tensor, const MessageData& message, int values) {
  std::string text = fmt::format("{} {}", describe_shape(tensor.shape()), tensor.dtype().name());
  if (!tensor.layout().empty()) text += fmt::format(" {}", tensor.layout().str());
  text += fmt::format(" {}", tensor.device().str());
  if (message.stream) text += fmt::format(" stream {}", message.stream->id());
  return fmt::format("{} {}", text, first_values(tensor, values));
}

template <class T>
const T* value_as(const MessageData& message) {
  if (*message.type->info != typeid(T)) return nullptr;
  return &detail::value_at<T>(const_cast<void*>(message.value()));
}

class ProbeBody final : public graph::Body {
 public:
  ProbeBody(int values, std::function<void(const std::string&)> print)
      : values_(values), print_(std::move(print)) {}

  void start(graph::Instance& instance) override { name_ = instance.name(); }

  void run(graph::Activation& activation) override {
    for (std::size_t i = 0; i < activation.items(); ++i) {
      const MessageRef& message = activation.port(0)[i];
      print(fmt::format("{} #{}: {}", name_, message->origin.number,
                        operators::describe(*message, values_)));
      activation.emit(0, message, i);
    }
  }

 private:
  void print(const std::string& line) const {
    if (print_) {
      print_(line);
    } else {
      std::fputs((line + '\n').c_str(), stdout);
    }
  }

  const int values_;
  const std::function<void(const std::string&)> print_;
  std::string name_;
};

}  // namespace

std::string describe(const MessageData& message, int values) {
  if (const Tensor* tensor = message.tensor()) return describe(*tensor, message, values);
  if (const auto* value = value_as<bool>(message)) return *value ? "true" : "false";
  if (const auto* value = value_as<int>(message)) return fmt::format("{}", *value);
  if (const auto* value = value_as<std::int64_t>(message)) return fmt::format("{}", *value);
  if (const auto* value = value_as<float>(message)) return fmt::format("{}", *value);
  if (const auto* value = value_as<double>(message)) return fmt::format("{}", *value);
  if (const auto* value = value_as<std::string>(message)) return fmt::format("\"{}\"", *value);
  std::string text = detail::type_name(*message.type->info);
  message.for_each_tensor(
      [&](const Tensor& tensor) { text += "\n  " + describe(tensor, message, values); });
  return text;
}

graph::NodeSpec probe(int values, std::function<void(const std::string&)> print,
                      OperatorOptions options) {
  graph::NodeSpec spec;
  spec.kind = "probe";
  spec.options = std::move(options);
  spec.inputs.push_back(port("in"));
  spec.inputs.front().is_host = true;
  spec.outputs.push_back(port("out"));
  spec.factory = std::make_shared<BodyMaker>(
      [values, print = std::move(print)] { return std::make_unique<ProbeBody>(values, print); });
  return spec;
}

}  // namespace penstock::operators
