// Memory of others: released once, after the last use is over, with no further call.
#include "memory_fixture.hpp"

#include "tensor/tensor_data.hpp"

#include <penstock/tensor.hpp>

#include <array>
#include <thread>

using namespace penstock;
using namespace penstock::memory;
using namespace penstock::memory::test;

namespace {

// Memory that is poisoned when it is given back, as another library's allocator would reuse it.
class Lender {
 public:
  explicit Lender(unsigned char value) { bytes_.fill(std::byte{value}); }
  Ref<Block> lend(Ref<order::Stream> back_edge = {}) {
    return Block::wrap(bytes_.data(), bytes_.size(), kCpu, backend::MemoryKind::host,
                       {&give_back, this}, std::move(back_edge));
  }
  Tensor lend_tensor(const Stream* stream = nullptr) {
    dlpack::TensorRecord record{bytes_.data(), {dlpack::kCpu, 0}, 1, {1, 8, 1},
                                &count_,       nullptr,           0};
    return Tensor::wrap(record, false, {&give_back, this}, {}, stream);
  }
  [[nodiscard]] int releases() const { return releases_.load(); }
  [[nodiscard]] bool comes_back() const {
    return eventually([&] { return releases() != 0; });
  }
  std::function<void()> at_release;

 private:
  static void give_back(void* self) {
    auto& lender = *static_cast<Lender*>(self);
    if (lender.at_release) lender.at_release();
    lender.bytes_.fill(std::byte{0xDD});
    lender.releases_.fetch_add(1);
  }
  std::array<std::byte, 4096> bytes_;
  std::int64_t count_ = 4096;
  std::atomic<int> releases_{0};
};

}  // namespace

TEST_CASE("foreign: without uses it goes back at once; references count") {
  Lender lender(1);
  auto block = lender.lend();
  auto other = block;
  block = {};
  CHECK(lender.releases() == 0);
  other = {};
  CHECK(lender.releases() == 1);
}

TEST_CASE("foreign: it goes back once, after the last use on each stream, with no further call") {
  Lender lender(1);
  const std::array streams{new_stream(), new_stream(), new_stream()};
  std::vector<std::unique_ptr<Held>> held;
  std::atomic<std::int64_t> wrong{0};
  auto block = lender.lend();
  for (const Stream& stream : streams) {
    held.push_back(std::make_unique<Held>(stream));
    read_on(*block, stream, 1, wrong);
    read_on(*block, stream, 1, wrong);
  }
  SUBCASE("all of it marked") {
    for (const Stream& stream : streams) static_cast<void>(stream.record());
  }
  SUBCASE("nothing of it marked") {}
  block = {};
  for (const std::size_t i : {1u, 2u, 0u}) {
    CHECK(lender.releases() == 0);
    held[i]->release();
    if (i != 0) streams[i].sync();
  }
  CHECK(lender.comes_back());
  for (const Stream& stream : streams) stream.sync();
  CHECK(lender.releases() == 1);
  CHECK(wrong == 0);
}

TEST_CASE("foreign: a stream that is dropped with its work still holds the memory") {
  Lender lender(1);
  std::atomic<std::int64_t> wrong{0};
  auto block = lender.lend();
  std::unique_ptr<Held> held;
  {
    const Stream stream = new_stream();
    held = std::make_unique<Held>(stream);
    read_on(*block, stream, 1, wrong);
    SUBCASE("the stream goes first") {}
    SUBCASE("the block goes first") { block = {}; }
  }
  block = {};
  CHECK(lender.releases() == 0);
  held->release();
  CHECK(lender.comes_back());
  CHECK(wrong == 0);
}

TEST_CASE("foreign: work that fails gives the memory back too") {
  Lender lender(1);
  const Stream stream = new_stream();
  auto block = lender.lend();
  auto held = std::make_unique<Held>(stream);
  work_on(*block, stream, true, [] { throw std::runtime_error("broken kernel"); });
  work_on(*block, stream, true, [] {});
  block = {};
  held->release();
  CHECK(lender.comes_back());
  CHECK_THROWS_WITH(stream.sync(), "broken kernel");
  CHECK(lender.releases() == 1);
}

TEST_CASE("foreign: a use that goes on ends when the block is let go") {
  Lender lender(1);
  const Stream stream = new_stream();
  std::atomic<std::int64_t> wrong{0};
  std::unique_ptr<Held> held;
  {
    const Tensor tensor = lender.lend_tensor();
    uses(tensor, stream);
    CHECK(tensor.query() == false);  // it goes on: nobody knows how long
    held = std::make_unique<Held>(stream);
    backend::test::launch(stream.impl().handle(),
                          [&, data = static_cast<std::byte*>(tensor.data())] {
                            wrong.fetch_add(data[4095] == std::byte{1} ? 0 : 1);
                          });
  }
  CHECK(lender.releases() == 0);
  held->release();
  CHECK(lender.comes_back());
  CHECK(wrong == 0);
}

TEST_CASE("foreign: a view with an offset protects all of it") {
  Lender lender(1);
  const Stream stream = new_stream();
  std::atomic<std::int64_t> wrong{0};
  auto held = std::make_unique<Held>(stream);
  {
    Tensor view = lender.lend_tensor().slice(0, 4000, 4096).slice(0, 90, 96, 5).select(0, 1);
    CHECK(lender.releases() == 0);
    work_on(*view.impl().block, stream, false, [&, data = static_cast<std::byte*>(view.data())] {
      wrong.fetch_add(*data == std::byte{1} ? 0 : 1);
    });
  }
  CHECK(lender.releases() == 0);
  held->release();
  CHECK(lender.comes_back());
  CHECK(wrong == 0);
}

TEST_CASE("foreign: the producer's pending work is waited for, and holds the memory") {
  Lender lender(0);
  const Stream producer = new_stream(), consumer = new_stream();
  auto held = std::make_unique<Held>(producer);
  std::atomic<std::int64_t> wrong{0};
  {
    const Tensor tensor = lender.lend_tensor(&producer);
    backend::test::launch(
        producer.impl().handle(),
        [data = static_cast<std::byte*>(tensor.data())] { std::fill_n(data, 4096, std::byte{5}); });
    tensor.impl().block->used(producer.impl(), true);
    CHECK_FALSE(tensor.query());
    read_on(*tensor.impl().block, consumer, 5, wrong);
    CHECK_FALSE(consumer.query());
  }
  CHECK(lender.releases() == 0);
  held->release();
  CHECK(lender.comes_back());
  consumer.sync();
  CHECK(wrong == 0);
}

TEST_CASE(
    "foreign: with a back edge the owner's stream waits for our uses, and so does the release") {
  Lender lender(1);
  const Stream owner = new_stream(), ours = new_stream();
  auto held = std::make_unique<Held>(ours);
  std::atomic<std::int64_t> wrong{0};
  auto block = lender.lend(Ref<order::Stream>::share(&owner.impl()));
  auto* data = block->data();
  read_on(*block, ours, 1, wrong);
  block = {};
  // The owner writes it anew: in its own stream's order, behind our read.
  backend::test::launch(owner.impl().handle(), [data] { std::fill_n(data, 4096, std::byte{9}); });
  CHECK_FALSE(owner.query());
  CHECK(lender.releases() == 0);
  held->release();
  owner.sync();
  CHECK(lender.comes_back());
  CHECK(wrong == 0);
  CHECK(lender.releases() == 1);
}

TEST_CASE("foreign: the owner's callback may use Penstock, and lend again") {
  const FreshCache cache;
  Lender first(1), second(2);
  auto inner = second.lend();
  const Stream stream = new_stream();
  first.at_release = [&] {
    inner = {};
    auto block = allocate(10'000, stream);
    write_on(*block, stream, 3);
    static_cast<void>(stats(kCpu));
    trim(0, kCpu);
  };
  auto held = std::make_unique<Held>(stream);
  auto block = first.lend();
  work_on(*block, stream, true, [] {});
  block = {};
  held->release();
  CHECK(first.comes_back());
  CHECK(second.releases() == 1);
  stream.sync();
}

TEST_CASE("foreign: many owners, streams and threads; each goes back once") {
  constexpr int kThreads = 4;
  const int count = scaled(300);
  std::vector<std::unique_ptr<Lender>> lenders;
  for (int i = 0; i < kThreads * count; ++i) lenders.push_back(std::make_unique<Lender>(i % 200));
  const std::array streams{new_stream(), new_stream(), new_stream()};
  std::atomic<std::int64_t> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = t; i < kThreads * count; i += kThreads) {
        auto block = lenders[static_cast<std::size_t>(i)]->lend();
        for (int use = 0; use < i % 4; ++use) {
          read_on(*block, streams[static_cast<std::size_t>((i + use) % 3)],
                  static_cast<unsigned char>(i % 200), wrong);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& lender : lenders) CHECK(lender->comes_back());
  for (const Stream& stream : streams) stream.sync();
  for (const auto& lender : lenders) CHECK(lender->releases() == 1);
  CHECK(wrong == 0);
}

TEST_CASE("foreign: it is no member of the cache and counts nothing") {
  const FreshCache cache;
  Lender lender(1);
  const auto block = lender.lend();
  CHECK_FALSE(block->is_own());
  CHECK(stats(kCpu).blocks == 0);
  CHECK(stats(kCpu).bytes_live == 0);
}
