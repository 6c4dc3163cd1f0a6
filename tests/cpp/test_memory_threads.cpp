// The cache under many threads: nothing is handed out twice, nothing is lost, the count is exact.
#include "memory_fixture.hpp"

#include "base/random.hpp"

#include <array>
#include <mutex>
#include <thread>

using namespace penstock;
using namespace penstock::memory;
using namespace penstock::memory::test;

namespace {

constexpr std::array<std::size_t, 3> kSizes{300, 5'000, 70'000};

// Owners write their mark at both ends of a block, and find it there when they let it go.
std::uint64_t next_stamp() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}
void write_stamp(Block& block, std::uint64_t stamp) {
  std::memcpy(block.data(), &stamp, sizeof stamp);
  std::memcpy(block.data() + block.bytes() - sizeof stamp, &stamp, sizeof stamp);
}
bool has_stamp(const Block& block, std::uint64_t stamp) {
  return std::memcmp(block.data(), &stamp, sizeof stamp) == 0 &&
         std::memcmp(block.data() + block.bytes() - sizeof stamp, &stamp, sizeof stamp) == 0;
}

struct Handed {
  Ref<Block> block;
  std::uint64_t stamp = 0;
};

// Where threads leave blocks for one another.
class Exchange {
 public:
  explicit Exchange(std::size_t places) : places_(places) {}
  Handed swap(Handed mine, std::size_t at) {
    const std::lock_guard guard(mutex_);
    std::swap(mine, places_[at % places_.size()]);
    return mine;
  }
  std::mutex mutex_;
  std::vector<Handed> places_;
};

template <class Body>
void on_threads(int count, Body body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (auto& thread : threads) thread.join();
}

// How far the allocating threads are. Whoever watches or disturbs them goes on when they have:
// else it would take the cache's lock as often as it can, and they would wait for it all the time.
class Steps {
 public:
  void add() { count_.fetch_add(1, std::memory_order_relaxed); }  // an order would hide races
  void wait_for(std::uint64_t more, const std::atomic<int>& working) {
    const auto until = count_.load(std::memory_order_relaxed) + more;
    while (count_.load(std::memory_order_relaxed) < until && working.load() > 0) {
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<std::uint64_t> count_{0};
};

void check_all_idle() {
  const Stats seen = stats(kCpu);
  std::int64_t bytes = 0;
  for (const BlockInfo& info : snapshot(kCpu)) {
    CHECK_FALSE(info.is_live);
    bytes += info.bytes;
  }
  CHECK(seen.bytes_live == 0);
  CHECK(seen.bytes_idle == bytes);
  CHECK(seen.blocks == static_cast<std::int64_t>(snapshot(kCpu).size()));
}

// No list hides a block that is not counted: what comes from a list is live then. With the limit as
// it is: a new one would look through the lists.
void check_all_counted() {
  std::vector<Ref<Block>> held;
  for (const std::size_t size : kSizes) {
    for (;;) {
      const Stats before = stats(kCpu);
      held.push_back(allocate(size));
      const Stats now = stats(kCpu);
      if (now.misses != before.misses) break;
      CHECK(now.bytes_live - before.bytes_live == static_cast<std::int64_t>(held.back()->bytes()));
    }
  }
}

constexpr int kDisturbed = 4;  // threads

void disturb(Random& random) {
  switch (random.below(4)) {
    case 0:
      clear(kCpu);
      break;
    case 1:
      trim(static_cast<std::int64_t>(random.below(100'000)), kCpu);
      break;
    case 2:
      set_limit(static_cast<std::int64_t>(random.below(1'000'000)), kCpu);
      break;
    default:
      static_cast<void>(snapshot(kCpu));
      reset_peak(kCpu);
      break;
  }
}

// False if somebody else has written to the block that comes out.
bool take_and_swap(Exchange& exchange, Random& random, const Stream* stream) {
  const std::size_t bytes = kSizes[random.below(kSizes.size())];
  Handed mine{stream == nullptr ? allocate(bytes) : allocate(bytes, *stream), next_stamp()};
  write_stamp(*mine.block, mine.stamp);
  if (stream != nullptr && random.below(4) == 0) work_on(*mine.block, *stream, false, [] {});
  const Handed other = exchange.swap(std::move(mine), random.next());
  return !other.block || has_stamp(*other.block, other.stamp);
}

}  // namespace

TEST_CASE("threads: freed on other threads, nothing is handed out twice and nothing is lost") {
  const FreshCache cache;
  constexpr int kThreads = 6;
  Exchange exchange(16);
  std::atomic<std::int64_t> wrong{0};
  std::array<Stream, 3> streams{new_stream(), new_stream(), new_stream()};
  on_threads(kThreads, [&](int index) {
    Random random(static_cast<std::uint64_t>(index));
    const Stream* stream = index % 2 == 0 ? nullptr : &streams[static_cast<std::size_t>(index) / 2];
    for (int i = 0; i < scaled(60'000); ++i) {
      const std::size_t bytes = kSizes[random.below(kSizes.size())];
      Handed mine{stream == nullptr ? allocate(bytes) : allocate(bytes, *stream), next_stamp()};
      write_stamp(*mine.block, mine.stamp);
      const Handed other = exchange.swap(std::move(mine), random.next());
      if (other.block && !has_stamp(*other.block, other.stamp)) wrong.fetch_add(1);
    }
  });
  CHECK(wrong == 0);
  for (const Handed& left : exchange.places_) {
    if (left.block) CHECK(has_stamp(*left.block, left.stamp));
  }
  const Stats seen = cache.seen();
  CHECK(seen.hits + seen.misses == kThreads * scaled(60'000));
  CHECK(seen.blocks == seen.misses);
  CHECK(seen.blocks <= 3 * (kThreads * 8 + 16));  // what was live together, and what lists hid
  exchange.places_.clear();
  check_all_idle();
  CHECK(stats(kCpu).blocks == seen.blocks);
}

TEST_CASE("threads: live and idle are exact together at every moment") {
  const FreshCache cache;
  constexpr int kThreads = 4;
  constexpr std::int64_t kHeld = 8;
  const auto bytes = static_cast<std::int64_t>(class_bytes(size_class(5'000)));
  set_limit(kThreads * kHeld * bytes / 2, kCpu);
  Steps steps;
  std::atomic<int> working{kThreads};
  std::atomic<std::int64_t> wrong{0};
  std::thread watcher([&] {
    Random random(77);
    while (working.load() > 0) {
      steps.wait_for(random.below(4), working);
      const Stats now = stats(kCpu);
      const std::int64_t counted = now.bytes_live + now.bytes_idle;
      const bool exact = counted % bytes == 0 && counted >= now.blocks * bytes &&
                         counted <= (now.blocks + kThreads) * bytes && counted <= limit(kCpu) &&
                         counted <= now.bytes_peak && now.bytes_live >= 0 && now.bytes_idle >= 0;
      if (!exact) wrong.fetch_add(1);
    }
  });
  on_threads(kThreads, [&](int index) {
    Random random(static_cast<std::uint64_t>(index));
    std::array<Ref<Block>, kHeld> held;
    for (int i = 0; i < scaled(50'000); ++i) {
      held[random.below(kHeld)] = random.below(4) == 0 ? Ref<Block>{} : allocate(5'000);
      steps.add();
    }
    working.fetch_sub(1);
  });
  watcher.join();
  CHECK(wrong == 0);
  check_all_idle();
}

TEST_CASE("threads: clear, trim and new limits at any moment leave nothing uncounted") {
  const FreshCache cache;
  constexpr int kRounds = 20;
  std::atomic<std::int64_t> wrong{0};
  for (int round = 0; round < kRounds; ++round) {
    const Stream stream = new_stream();
    Exchange exchange(8);
    Steps steps;
    std::atomic<int> working{kDisturbed};
    std::thread disturber([&] {
      Random random(static_cast<std::uint64_t>(77 + round));
      while (working.load() > 0) {
        steps.wait_for(random.below(4), working);
        disturb(random);
      }
    });
    on_threads(kDisturbed, [&](int index) {
      Random random(static_cast<std::uint64_t>(kDisturbed * round + index));
      const Stream* own = index == 0 ? &stream : nullptr;
      for (int i = 0; i < scaled(50'000) / kRounds; ++i) {
        wrong.fetch_add(take_and_swap(exchange, random, own) ? 0 : 1, std::memory_order_relaxed);
        steps.add();
      }
      working.fetch_sub(1);
    });
    disturber.join();
    exchange.places_.clear();
    stream.sync();
    check_all_idle();
    check_all_counted();
  }
  CHECK(wrong == 0);
  set_limit(0, kCpu);
  CHECK(stats(kCpu).bytes_idle == 0);
  CHECK(stats(kCpu).bytes_live == 0);
  CHECK(stats(kCpu).blocks == 0);
}

TEST_CASE("threads: one that ends gives its blocks and its home to the next") {
  const FreshCache cache;
  std::uintptr_t first = 0;
  std::thread([&] { first = address(allocate(5'000)); }).join();
  std::thread([&] {
    for (int i = 0; i < 10; ++i) CHECK(address(allocate(5'000)) == first);
  }).join();
  CHECK(cache.seen().steals == 0);
  CHECK(cache.seen().misses == 1);
  CHECK(address(allocate(5'000)) == first);  // and a thread that lives takes it too
  for (int i = 0; i < 200; ++i) {
    std::thread([] { static_cast<void>(allocate(5'000)); }).join();
  }
  CHECK(stats(kCpu).blocks == 1);
}

TEST_CASE("threads: memory given back while a thread ends is not lost") {
  const FreshCache cache;
  struct LateOwner {
    Ref<Block> block;
    ~LateOwner() {
      block = {};
      block = allocate(70'000);
      write_stamp(*block, 1);
    }
  };
  std::thread([] {
    thread_local LateOwner owner;  // goes after the thread's home, which is made later
    owner.block = allocate(5'000);
  }).join();
  check_all_idle();
  CHECK(stats(kCpu).blocks == 2);
}

TEST_CASE("threads: uses from many threads on many streams all count") {
  const FreshCache cache;
  constexpr int kThreads = 6;
  for (int round = 0; round < scaled(20); ++round) {
    std::vector<Stream> streams;
    std::vector<std::unique_ptr<Held>> held;
    for (int i = 0; i < kThreads; ++i) {
      streams.push_back(new_stream());
      held.push_back(std::make_unique<Held>(streams.back()));
    }
    std::atomic<std::int64_t> wrong{0};
    auto block = allocate(5'000);
    std::fill_n(block->data(), block->bytes(), std::byte{1});
    const auto first = address(block);
    on_threads(kThreads, [&](int index) {
      auto mine = block;
      for (int i = 0; i < 5; ++i) {
        read_on(*mine, streams[static_cast<std::size_t>((index + i) % kThreads)], 1, wrong);
      }
    });
    block = {};
    for (int i = 0; i < kThreads; ++i) {
      block = allocate(5'000);
      CHECK(address(block) != first);
      std::fill_n(block->data(), block->bytes(), std::byte{2});
      held[static_cast<std::size_t>(i)]->release();
      streams[static_cast<std::size_t>(i)].sync();
    }
    CHECK(wrong == 0);
    block = {};
    trim(0, kCpu);
    CHECK(stats(kCpu).blocks == 0);
  }
}
