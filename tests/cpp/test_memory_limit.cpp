// The bound on the cache, and what happens when memory is short.
#include "memory_fixture.hpp"

#include <sys/resource.h>

#include <fstream>
#include <thread>

using namespace penstock;
using namespace penstock::memory;
using namespace penstock::memory::test;

namespace {

constexpr std::size_t kBytes = std::size_t{1} << 20;  // its own class
constexpr auto kOne = static_cast<std::int64_t>(kBytes);

std::int64_t counted() {
  const Stats seen = stats(kCpu);
  return seen.bytes_live + seen.bytes_idle;
}

}  // namespace

TEST_CASE("limit: idle blocks go as needed, live ones never") {
  const FreshCache cache(4 * kOne);
  std::vector<Ref<Block>> live;
  for (int i = 0; i < 3; ++i) live.push_back(allocate(kBytes));
  auto idle = allocate(kBytes);
  idle = {};
  CHECK(counted() == 4 * kOne);
  const auto other = allocate(kBytes / 2);
  CHECK(counted() == 3 * kOne + kOne / 2);
  CHECK(cache.seen().evictions == 1);
  const auto first = allocate(kBytes);  // live + this is too much: it works and does not count
  CHECK(counted() == 3 * kOne + kOne / 2);
  *first->data() = std::byte{1};
  set_limit(kOne, kCpu);
  CHECK(counted() == 3 * kOne + kOne / 2);
  live.pop_back();  // over the limit: not kept
  CHECK(counted() == 2 * kOne + kOne / 2);
  CHECK(stats(kCpu).bytes_idle == 0);
}

TEST_CASE("limit: a larger object works, is no member and evicts nothing") {
  const FreshCache cache(4 * kOne);
  auto idle = allocate(kBytes);
  const auto first = address(idle);
  idle = {};
  {
    const auto large = allocate(5 * kBytes);
    CHECK(large->bytes() >= 5 * kBytes);
    large->data()[5 * kBytes - 1] = std::byte{1};
    CHECK(counted() == kOne);
    CHECK(stats(kCpu).blocks == 1);
  }
  CHECK(counted() == kOne);
  CHECK(cache.seen().evictions == 0);
  CHECK(address(allocate(kBytes)) == first);
}

TEST_CASE("limit: 0 keeps nothing; a negative one is an error that changes nothing") {
  const FreshCache cache(0);
  {
    const auto block = allocate(kBytes);
    block->data()[0] = std::byte{1};
    CHECK(counted() == 0);
  }
  CHECK(counted() == 0);
  CHECK(stats(kCpu).blocks == 0);
  CHECK(cache.seen().hits == 0);
  CHECK_THROWS_WITH_AS(set_limit(-1, kCpu), "set_limit: -1 bytes is negative", Error);
  CHECK_THROWS_WITH_AS(trim(-5, kCpu), "trim: -5 bytes is negative", Error);
  CHECK(limit(kCpu) == 0);
  set_limit(std::numeric_limits<std::int64_t>::max(), kCpu);
  const auto block = allocate(kBytes);
  CHECK(counted() == kOne);
}

TEST_CASE(
    "limit: lowered to 0 while work goes on, blocks leave the count at once, the memory later") {
  const FreshCache cache;
  const Stream stream = new_stream();
  Held held(stream);
  std::atomic<std::int64_t> wrong{0};
  auto before = allocate(kBytes, stream), after = allocate(kBytes, stream);
  for (auto* block : {&before, &after}) {
    write_on(**block, stream, 7);
    read_on(**block, stream, 7, wrong);
  }
  before = {};
  set_limit(0, kCpu);
  CHECK(counted() == kOne);
  after = {};
  CHECK(counted() == 0);
  held.release();
  stream.sync();
  CHECK(wrong == 0);
}

TEST_CASE("limit: the block unused for longest goes first") {
  const FreshCache cache(4 * kOne);
  const Stream a = new_stream(), b = new_stream();
  std::vector<Ref<Block>> blocks;
  std::vector<std::uintptr_t> freed;
  for (int i = 0; i < 4; ++i) blocks.push_back(allocate(kBytes, i % 2 == 0 ? a : b));
  for (const std::size_t i : {2u, 1u, 3u, 0u}) {
    freed.push_back(address(blocks[i]));
    blocks[i] = {};
  }
  std::vector<Ref<Block>> smaller;
  for (std::size_t gone = 1; gone <= 4; ++gone) {
    smaller.push_back(allocate(kBytes * 3 / 4));
    std::vector<std::uintptr_t> left;
    for (const BlockInfo& info : snapshot(kCpu)) {
      if (!info.is_live) left.push_back(info.address);
    }
    const std::size_t evicted = (3 * gone + 3) / 4;
    CHECK(left.size() == 4 - evicted);
    for (std::size_t i = evicted; i < 4; ++i) {
      CHECK(std::find(left.begin(), left.end(), freed[i]) != left.end());
    }
  }
}

TEST_CASE(
    "limit: trim leaves that much idle, clear none; live blocks leave the count and are freed") {
  const FreshCache cache;
  std::vector<Ref<Block>> blocks;
  for (int i = 0; i < 6; ++i) blocks.push_back(allocate(kBytes));
  const auto live = blocks.back();
  blocks.clear();
  trim(3 * kOne, kCpu);
  CHECK(stats(kCpu).bytes_idle == 3 * kOne);
  trim(3 * kOne - 1, kCpu);
  CHECK(stats(kCpu).bytes_idle == 2 * kOne);
  trim(100 * kOne, kCpu);
  CHECK(stats(kCpu).bytes_idle == 2 * kOne);
  const std::int64_t evictions = cache.seen().evictions;
  CHECK(evictions == 3);
  clear(kCpu);
  CHECK(counted() == 0);
  CHECK(stats(kCpu).blocks == 0);
  CHECK(snapshot(kCpu).empty());
  CHECK(cache.seen().evictions == evictions);
  live->data()[kBytes - 1] = std::byte{1};
  auto next = allocate(kBytes);
  CHECK(counted() == kOne);
  CHECK(stats(kCpu).bytes_live == kOne);
  next = {};
  CHECK(stats(kCpu).bytes_idle == kOne);
}

TEST_CASE("limit: clear and trim while work goes on: nobody waits, nothing is touched too early") {
  const FreshCache cache;
  const Stream stream = new_stream();
  Held held(stream);
  std::atomic<std::int64_t> wrong{0};
  auto idle = allocate(kBytes, stream), live = allocate(kBytes, stream);
  for (auto* block : {&idle, &live}) {
    write_on(**block, stream, 7);
    read_on(**block, stream, 7, wrong);
  }
  idle = {};
  SUBCASE("clear") { clear(kCpu); }
  SUBCASE("trim") { trim(0, kCpu); }
  CHECK(stats(kCpu).bytes_idle == 0);
  live = {};
  clear(kCpu);
  CHECK(counted() == 0);
  CHECK_FALSE(stream.query());
  held.release();
  stream.sync();
  CHECK(wrong == 0);
}

TEST_CASE("limit: at the limit a stream takes over a busy block in order; the host does not wait") {
  const FreshCache cache(kOne);
  const Stream a = new_stream(), b = new_stream();
  Held held(a);
  std::atomic<std::int64_t> wrong{0};
  auto block = allocate(kBytes, a);
  write_on(*block, a, 1);
  read_on(*block, a, 1, wrong);
  const auto first = address(block);
  block = {};
  block = allocate(kBytes, b);
  CHECK(address(block) == first);
  write_on(*block, b, 2);
  read_on(*block, b, 2, wrong);
  CHECK_FALSE(b.query());
  CHECK(cache.seen().waits == 1);
  CHECK(counted() == kOne);
  held.release();
  b.sync();
  CHECK(wrong == 0);
}

TEST_CASE("limit: waiting for busy memory lets the work that is waited for allocate") {
  const FreshCache cache(2 * kOne);
  const Stream stream = new_stream();
  std::atomic<bool> waiting{false};
  std::atomic<bool> allocated{false};
  auto block = allocate(2 * kBytes, stream);
  backend::test::launch(stream.impl().handle(), [&] {
    static_cast<void>(eventually([&] { return waiting.load(); }));
    for (std::size_t bytes = 256; bytes <= 4 * kBytes; bytes *= 2) {
      static_cast<void>(allocate(bytes));
      static_cast<void>(stats(kCpu));
    }
    allocated.store(true);
  });
  block->used(stream.impl(), true);
  block = {};
  std::thread other([&] {
    const auto mine = allocate(kBytes);  // of another class, on the host: it has to wait
    CHECK(allocated.load());
  });
  // The other thread has taken the block out of the count before it waits.
  static_cast<void>(eventually([&] { return counted() < 2 * kOne; }));
  waiting.store(true);
  other.join();
  CHECK(cache.seen().waits >= 1);
  stream.sync();
}

TEST_CASE("limit: a task does not wait for its own stream") {
  const FreshCache cache(2 * kOne);
  const Stream stream = new_stream();
  const Event event = stream.launch([&] {
    auto block = allocate(2 * kBytes, stream);
    block->used(stream.impl(), true);  // as if this task went on with it
    block = {};
    const auto next = allocate(kBytes);
    CHECK(next->data() != nullptr);
    CHECK(counted() <= 2 * kOne);
  });
  event.sync();
}

TEST_CASE("limit: an error of the work that is waited for stays with its stream") {
  const FreshCache cache(2 * kOne);
  const Stream stream = new_stream();
  auto block = allocate(2 * kBytes, stream);
  auto held = std::make_unique<Held>(stream);
  backend::test::launch(stream.impl().handle(), [] { throw std::runtime_error("broken kernel"); });
  block->used(stream.impl(), true);
  block = {};
  held->release();
  CHECK(allocate(kBytes)->data() != nullptr);
  CHECK_THROWS_WITH(stream.sync(), "broken kernel");
}

namespace {

std::atomic<int> hook_calls{0};
Ref<Block>* held_for_hook = nullptr;

void count_calls() { hook_calls.fetch_add(1); }
void let_go() {
  if (held_for_hook != nullptr) *std::exchange(held_for_hook, nullptr) = {};
}

struct PressureHook {
  explicit PressureHook(void (*hook)()) { Cache::set_pressure_hook(hook); }
  ~PressureHook() { Cache::set_pressure_hook(nullptr); }
};

std::string message_of_allocation(std::size_t bytes) {
  try {
    static_cast<void>(allocate(bytes));
  } catch (const OutOfMemory& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE(
    "out of memory: idle blocks go, the hook is asked, and the error says sizes and a way out") {
  const FreshCache cache;
  const PressureHook hook(count_calls);
  hook_calls = 0;
  static bool is_described = false;
  if (!std::exchange(is_described, true)) {
    Cache::of(kCpu).add_describer([] { return std::string("ring of resize holds 3 frames"); });
  }
  auto idle = allocate(kBytes);
  idle = {};
  const auto live = allocate(2 * kBytes);
  const std::string text = message_of_allocation(std::size_t{1} << 47);
  CHECK(text.find("allocate: 140737488355328 bytes on cpu: ") == 0);
  CHECK(text.find("Penstock holds 2097152 bytes live and 0 idle in 1 blocks") != std::string::npos);
  CHECK(text.find("; ring of resize holds 3 frames; ") != std::string::npos);
  CHECK(text.find("drop tensors, lower the number of frames in flight") != std::string::npos);
  CHECK(hook_calls == 2);
  CHECK(counted() == 2 * kOne);
  const std::string absurd = message_of_allocation(std::numeric_limits<std::size_t>::max());
  CHECK(absurd == "allocate: 18446744073709551615 bytes is more than any device has");
  CHECK(message_of_allocation(kLargest + 1) != "");
  CHECK(counted() == 2 * kOne);
  CHECK(allocate(kBytes)->data() != nullptr);  // and the cache goes on
}

// The rest needs an end of memory: a process of its own, with little of it.
TEST_CASE("out of memory: in a small process" * doctest::skip()) {
  constexpr std::size_t kLarge = std::size_t{256} << 20;
  set_limit(std::numeric_limits<std::int64_t>::max() / 2, kCpu);
  const Stream stream = new_stream();
  stream.launch([] {}).sync();  // the pool has its threads
  rlimit limits{};
  getrlimit(RLIMIT_AS, &limits);
  std::ifstream file("/proc/self/statm");
  std::size_t pages = 0;
  file >> pages;
  limits.rlim_cur = pages * 4096 + 3 * kLarge + kLarge / 2;
  REQUIRE(setrlimit(RLIMIT_AS, &limits) == 0);

  std::vector<Ref<Block>> blocks;
  for (int i = 0; i < 3; ++i) blocks.push_back(allocate(kLarge));
  CHECK(message_of_allocation(kLarge).find("Penstock holds 805306368 bytes live") !=
        std::string::npos);

  blocks.pop_back();  // idle, of another class: it goes
  blocks.push_back(allocate(kLarge / 4 * 3));
  blocks.pop_back();
  blocks.push_back(allocate(kLarge));
  CHECK(blocks.back()->data() != nullptr);

  // Work that is not over before memory was short, and a while after.
  const auto slow = [] {
    static_cast<void>(eventually([] { return hook_calls.load() > 0; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  {
    const PressureHook counting(count_calls);
    hook_calls = 0;
    auto busy = std::exchange(blocks.back(), {});
    backend::test::launch(stream.impl().handle(), slow);
    busy->used(stream.impl(), true);
    busy = {};
    blocks.back() = allocate(kLarge / 4 * 3);
  }
  {  // live, but only until the work that holds it is over
    const PressureHook counting(count_calls);
    hook_calls = 0;
    auto kept = std::exchange(blocks.back(), {});
    backend::test::launch(stream.impl().handle(), [kept, slow] { slow(); });
    kept->used(stream.impl(), true);
    kept = {};
    blocks.back() = allocate(kLarge);
  }

  const PressureHook hook(let_go);
  held_for_hook = &blocks[0];
  blocks.push_back(allocate(kLarge));
  CHECK(held_for_hook == nullptr);
  CHECK(message_of_allocation(kLarge) != "");
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST_CASE("out of memory: idle, busy and hooked memory is used before giving up") {
  CHECK(backend::test::run_again({"--no-skip", "--test-case=out of memory: in a small process"},
                                 {}) == "");
}
#endif
