// Ways in which stream-ordered memory has gone wrong in other libraries, as programs whose outcome
// does not depend on luck: work is held up, not slowed down.
#include "tensor_fixture.hpp"

#include <deque>
#include <thread>

using namespace penstock;
using namespace penstock::memory;
using namespace penstock::memory::test;
using penstock::test::Checker;
using penstock::test::Library;

namespace {

constexpr std::size_t kBytes = Library::kBytes;

// Each case on its own and with the checker watching. Streams are made inside: one that was made
// while the checker was off is unknown to it.
template <class Body>
void with_and_without_checker(Body body) {
  SUBCASE("unwatched") { body(); }
  SUBCASE("watched") {
    const Checker checker;
    body();
    CHECK(order::check::race_count() == 0);
  }
}

void fill_bytes_of(const Tensor& tensor, unsigned char value) {
  std::fill_n(static_cast<std::byte*>(tensor.data()), tensor.nbytes(), std::byte{value});
}

}  // namespace

TEST_CASE("hazard: three streams, a block that was taken over still carries the first one's work") {
  with_and_without_checker([] {
    const FreshCache cache(2 * static_cast<std::int64_t>(class_bytes(size_class(kBytes))));
    const Stream a = new_stream(), b = new_stream(), c = new_stream();
    Held held(a);
    std::atomic<std::int64_t> wrong{0};
    auto block = allocate(kBytes, a);
    const auto first = address(block);
    write_on(*block, a, 0xAA);
    read_on(*block, a, 0xAA, wrong);
    block = {};
    auto filler = allocate(kBytes, b);  // the limit is reached: from here on blocks are taken over
    const auto second = address(filler);
    block = allocate(kBytes, b);
    REQUIRE(address(block) == first);
    filler = {};
    block = {};  // b has not used it: it is a's work that counts
    for (const Stream* stream : {&c, &b}) {
      auto one = allocate(kBytes, *stream), other = allocate(kBytes, *stream);
      for (auto* taken : {&one, &other}) {
        CHECK((address(*taken) == first || address(*taken) == second));
        write_on(**taken, *stream, 0xCC);
        read_on(**taken, *stream, 0xCC, wrong);
      }
    }
    CHECK_FALSE(c.query());
    held.release();
    for (const Stream* stream : {&a, &b, &c}) stream->sync();
    CHECK(wrong == 0);
  });
}

TEST_CASE("hazard: used on a third stream, dropped on a second, allocated on the first") {
  with_and_without_checker([] {
    const FreshCache cache;
    const Stream first = new_stream(), second = new_stream(), third = new_stream();
    std::atomic<std::int64_t> wrong{0};
    auto block = allocate(kBytes, first);
    write_on(*block, first, 1);
    read_on(*block, second, 1, wrong);
    Held held(third);
    read_on(*block, third, 1, wrong);
    second.launch([dropped = std::move(block)] {})
        .sync();  // the last reference goes inside of a task
    for (int i = 0; i < 3; ++i) {
      auto next = allocate(kBytes, first);
      write_on(*next, first, 2);
      read_on(*next, first, 2, wrong);
    }
    first.sync();
    held.release();
    third.sync();
    CHECK(wrong == 0);
  });
}

TEST_CASE("hazard: a side stream reads what its owner drops; the main stream allocates at once") {
  with_and_without_checker([] {
    const FreshCache cache;
    const Stream main = new_stream(), side = new_stream();
    Held held(side);
    std::atomic<int> wrong{0};
    for (int round = 0; round < 10; ++round) {
      const Tensor tensor = Tensor::empty({kBytes}, u8, {}, main);
      main.launch([tensor, round] { fill_bytes_of(tensor, static_cast<unsigned char>(round)); },
                  writes(tensor));
      // The reader keeps no reference: only the order protects what it reads.
      static_cast<void>(side.launch([] {}, reads(tensor)));
      backend::test::launch(
          side.impl().handle(), [&, round, data = static_cast<std::byte*>(tensor.data())] {
            wrong.fetch_add(
                std::count(data, data + kBytes, static_cast<std::byte>(round)) == kBytes ? 0 : 1);
          });
      uses(tensor, side);
    }
    held.release();
    side.sync();
    main.sync();
    CHECK(wrong == 0);
  });
}

TEST_CASE("hazard: an owner's deleter is not called before the launched reader is done") {
  with_and_without_checker([] {
    Library library(7);
    const Stream stream = new_stream();
    Held held(stream);
    std::atomic<std::int64_t> wrong{0};
    {
      const Tensor tensor = library.lend();
      read_on(*tensor.impl().block, stream, 7, wrong);
    }
    CHECK(library.releases == 0);
    held.release();
    CHECK(eventually([&] { return library.releases == 1; }));
    CHECK(wrong == 0);
  });
}

TEST_CASE("hazard: our memory, exported: the consumer's stream still works when it lets go") {
  with_and_without_checker([] {
    const FreshCache cache;
    const Stream ours = new_stream(), consumer = new_stream();
    Held held(consumer);
    std::atomic<std::int64_t> wrong{0};
    dlpack::ManagedVersioned* capsule = nullptr;
    {
      const Tensor tensor = Tensor::empty({kBytes}, u8, {}, ours);
      ours.launch([tensor] { fill_bytes_of(tensor, 3); }, writes(tensor));
      uses(tensor, consumer);  // what the export notes for the stream it was asked for
      capsule = to_dlpack_versioned(tensor);
    }
    const auto* data = static_cast<const std::byte*>(capsule->dl_tensor.data);
    backend::test::launch(consumer.impl().handle(), [&, data] {
      wrong.fetch_add(static_cast<std::int64_t>(kBytes) -
                      std::count(data, data + kBytes, std::byte{3}));
    });
    std::thread([capsule] { capsule->deleter(capsule); }).join();
    for (int i = 0; i < 3; ++i) {
      auto block = allocate(kBytes, ours);
      CHECK(block->data() != data);
      write_on(*block, ours, 4);
    }
    ours.sync();
    held.release();
    consumer.sync();
    CHECK(wrong == 0);
  });
}

TEST_CASE(
    "hazard: a producer's stream and a consumer's, in every pairing, with an order and without") {
  with_and_without_checker([] {
    std::vector<Stream> streams{new_stream(), new_stream(), new_stream()};
    for (const Stream& producer : streams) {
      for (const Stream& consumer : streams) {
        Library library(0);
        Held held(producer);
        std::atomic<std::int64_t> wrong{0};
        {
          // Its pending work is on the producer's stream, unseen by us.
          backend::test::launch(producer.impl().handle(), [data = library.bytes.data()] {
            std::fill_n(data, kBytes, std::byte{8});
          });
          const Tensor tensor = library.lend(&producer);
          CHECK_FALSE(tensor.query());
          consumer.launch(
              [&, data = static_cast<std::byte*>(tensor.data())] {
                wrong.fetch_add(static_cast<std::int64_t>(kBytes) -
                                std::count(data, data + kBytes, std::byte{8}));
              },
              reads(tensor));
        }
        held.release();
        consumer.sync();
        producer.sync();
        CHECK(eventually([&] { return library.releases == 1; }));
        CHECK(wrong == 0);
      }
    }
  });
}

TEST_CASE("hazard: an offset counts on the way in and is gone on the way out") {
  Library library(0);
  library.bytes[123] = std::byte{9};
  const Tensor tensor = library.lend(nullptr, 123);
  CHECK(*static_cast<std::byte*>(tensor.data()) == std::byte{9});
  auto* out = to_dlpack_versioned(tensor.slice(0, 5, 10));
  CHECK(out->dl_tensor.data == library.bytes.data() + 128);
  CHECK(out->dl_tensor.byte_offset == 0);
  out->deleter(out);
}

TEST_CASE("hazard: deleters from threads that are nobody's, many at once") {
  Library library(1);
  std::vector<dlpack::ManagedVersioned*> capsules;
  {
    const Tensor tensor = library.lend();
    for (int i = 0; i < 16; ++i) capsules.push_back(to_dlpack_versioned(tensor.slice(0, i, 100)));
  }
  std::vector<std::thread> threads;
  for (auto* capsule : capsules) threads.emplace_back([capsule] { capsule->deleter(capsule); });
  for (auto& thread : threads) thread.join();
  CHECK(library.releases == 1);
}

TEST_CASE("hazard: streams come and go with work pending; handles repeat, points do not") {
  with_and_without_checker([] {
    const FreshCache cache;
    static std::atomic<std::int64_t> wrong{0};  // readers may outlive this function
    std::deque<std::unique_ptr<Held>> held;
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < scaled(100); ++i) {
      const Stream stream = new_stream(), other = new_stream();
      ids.push_back(stream.id());
      auto block = allocate(kBytes, stream);
      held.push_back(std::make_unique<Held>(stream));
      write_on(*block, stream, static_cast<unsigned char>(i));
      read_on(*block, stream, static_cast<unsigned char>(i), wrong);
      const auto pending = address(block);
      block = {};
      auto next = allocate(kBytes, other);
      CHECK(address(next) != pending);
      write_on(*next, other, static_cast<unsigned char>(i + 1));
      read_on(*next, other, static_cast<unsigned char>(i + 1), wrong);
      if (held.size() > 3) held.pop_front();
    }
    held.clear();
    std::sort(ids.begin(), ids.end());
    CHECK(std::unique(ids.begin(), ids.end()) == ids.end());
    const Stream last = new_stream();
    CHECK(eventually([&] {
      trim(0, kCpu);
      return stats(kCpu).bytes_idle == 0;
    }));
    CHECK(wrong == 0);
  });
}

TEST_CASE("hazard: a view with an offset keeps the whole block from being used again") {
  with_and_without_checker([] {
    const FreshCache cache;
    const Stream stream = new_stream(), other = new_stream();
    Held held(other);
    std::atomic<int> wrong{0};
    std::byte* begin = nullptr;
    {
      const Tensor tensor = Tensor::zeros({kBytes}, u8);
      begin = static_cast<std::byte*>(tensor.data());
      const Tensor view = tensor.slice(0, kBytes - 100, kBytes);
      uses(view, other);
      backend::test::launch(other.impl().handle(), [&, begin] {
        wrong.fetch_add(std::count(begin, begin + kBytes, std::byte{0}) == kBytes ? 0 : 1);
      });
    }
    for (int i = 0; i < 3; ++i) {
      auto block = allocate(kBytes, stream);
      CHECK(block->data() != begin);
      write_on(*block, stream, 1);
    }
    stream.sync();
    held.release();
    other.sync();
    CHECK(wrong == 0);
  });
}

TEST_CASE(
    "hazard: completion and submission cross: gates open while streams are fed, none is lost") {
  const FreshCache cache;
  constexpr int kThreads = 3;
  const int count = scaled(400);
  std::vector<std::unique_ptr<Library>> libraries;
  for (int i = 0; i < kThreads * 4; ++i) libraries.push_back(std::make_unique<Library>(0));
  const std::array streams{new_stream(), new_stream(), new_stream()};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(static_cast<std::uint64_t>(t));
      for (int i = 0; i < count; ++i) {
        auto& library = *libraries[static_cast<std::size_t>(t) * 4 + random.below(4)];
        const auto tensor = library.lend();
        const Stream& stream = streams[random.below(3)];
        stream.launch([] {}, writes(tensor));
        if (random.below(8) == 0) streams[random.below(3)].wait(stream);
        if (random.below(16) == 0) static_cast<void>(stream.query());
        static_cast<void>(allocate(1 << random.below(12), stream));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const Stream& stream : streams) stream.sync();
  CHECK(eventually([&] {
    int releases = 0;
    for (const auto& library : libraries) releases += library->releases.load();
    return releases == kThreads * count;
  }));
}

TEST_CASE("hazard: a capsule that is held and taken in late has the order of when it is taken in") {
  with_and_without_checker([] {
    const Stream stream = new_stream(), reader = new_stream();
    const Tensor tensor = Tensor::empty({kBytes}, u8, {}, stream);
    auto* capsule = to_dlpack_versioned(tensor);  // before there was any work
    Held held(stream);
    stream.launch([tensor] { fill_bytes_of(tensor, 6); }, writes(tensor));
    std::atomic<int> wrong{0};
    {
      const Owner owner{[](void* context) {
                          auto* managed = static_cast<dlpack::ManagedVersioned*>(context);
                          managed->deleter(managed);
                        },
                        capsule};
      const Tensor late = Tensor::wrap(capsule->dl_tensor, false, owner, {}, &stream);
      reader.launch(
          [&, data = static_cast<std::byte*>(late.data())] {
            wrong.fetch_add(std::count(data, data + kBytes, std::byte{6}) == kBytes ? 0 : 1);
          },
          reads(late));
      CHECK_FALSE(reader.query());
    }
    held.release();
    reader.sync();
    CHECK(wrong == 0);
  });
}

TEST_CASE(
    "hazard: two consumers of one tensor, one of which writes in place: the checker says so") {
  const Checker checker;
  order::check::set_mode(OrderCheck::report);
  const Stream producer = new_stream(), writer = new_stream(), reader = new_stream();
  const Tensor tensor = Tensor::empty({kBytes}, u8, {}, producer);
  producer.launch([tensor] { fill_bytes_of(tensor, 1); }, writes(tensor)).sync();
  const auto uses_both = [&](bool wait) {
    uses(tensor, reader, false, wait);
    uses(tensor, writer, true, wait);
  };
  SUBCASE("unordered") {
    uses_both(false);
    CHECK(order::check::race_count() > 0);
    const auto races = order::check::races();
    CHECK(races.back().later.is_write != races.back().earlier.is_write);
  }
  SUBCASE("ordered") {
    uses_both(true);
    CHECK(order::check::race_count() == 0);
  }
}

TEST_CASE("hazard: a block that comes back by luck orders nothing for the checker") {
  const FreshCache cache;
  const Checker checker;
  order::check::set_mode(OrderCheck::report);
  const Stream a = new_stream(), b = new_stream();
  const Tensor shared = Tensor::zeros({64}, u8);
  std::atomic<bool> over{false};
  std::uintptr_t first = 0;
  {
    const Tensor passing = Tensor::empty({kBytes}, u8, {}, a);
    first = reinterpret_cast<std::uintptr_t>(passing.data());
    a.launch([passing, shared] { fill_bytes_of(shared, 1); }, writes(shared), writes(passing));
  }
  backend::test::launch(a.impl().handle(), [&] { over = true; });
  static_cast<void>(a.impl().use());
  REQUIRE(eventually([&] { return over.load(); }));  // seen by nobody but this loop
  std::vector<Tensor> taken;
  REQUIRE(eventually([&] {
    taken.push_back(Tensor::empty({kBytes}, u8, {}, b));
    return reinterpret_cast<std::uintptr_t>(taken.back().data()) == first;
  }));
  CHECK(order::check::race_count() == 0);
  uses(shared, b, false, false);  // nothing orders this read behind a's write
  CHECK(order::check::race_count() == 1);
}
