// Order on a GPU, from C++: streams with slow kernels, memory that is dropped while it is read,
// events. Nothing waits on the host but the last line of each test. Those called [memcheck] are
// few and short, for compute-sanitizer.
#include "gpu_fixture.hpp"

#include <penstock/memory.hpp>

#include <set>
#include <utility>
#include <vector>

using namespace penstock;
using namespace penstock::test;

namespace {

// Blocks of the cache with other numbers in them: a read that comes early is seen.
void dirty_the_cache() {
  const Stream stream(Device::cuda());
  std::vector<Tensor> kept;
  for (int i = 0; i < 16; ++i) kept.push_back(slow_tensor(stream, -1, 0));
  kept.back().sync();
}

}  // namespace

TEST_CASE("gpu: a reader on another stream waits for a slow writer [gpu] [memcheck]") {
  if (!has_gpu()) return;
  dirty_the_cache();
  const Stream writer(Device::cuda());
  Reader reader;
  for (int i = 0; i < 200; ++i) reader.look(slow_tensor(writer, i), i);
  CHECK(reader.wrong() == 0);
}

TEST_CASE("gpu: without the wait the reader sees what was there before [gpu]") {
  if (!has_gpu()) return;
  dirty_the_cache();
  const Stream writer(Device::cuda());
  Reader reader;
  for (int i = 0; i < 100; ++i) reader.look(slow_tensor(writer, i), i, 0, false);
  CHECK(reader.wrong() > 0);
}

TEST_CASE("gpu: a writer waits for slow readers on other streams [gpu] [memcheck]") {
  if (!has_gpu()) return;
  const Stream writer(Device::cuda());
  std::vector<Reader> readers(8);
  const Tensor tensor = new_tensor(writer);
  for (int i = 0; i < 50; ++i) {
    fill(writer, tensor, i, 0);
    for (Reader& reader : readers) reader.look(tensor, i, kSlow);
  }
  for (const Reader& reader : readers) CHECK(reader.wrong() == 0);
}

TEST_CASE("gpu: memory that is dropped is used again after its slow readers [gpu] [memcheck]") {
  if (!has_gpu()) return;
  dirty_the_cache();
  // By the same stream, and by others in turn.
  for (const std::size_t writers : {std::size_t{1}, std::size_t{5}}) {
    std::vector<Stream> streams;
    for (std::size_t i = 0; i < writers; ++i) streams.emplace_back(Device::cuda());
    Reader first, second;
    for (int i = 0; i < 200; ++i) {
      const Tensor tensor = slow_tensor(streams[static_cast<std::size_t>(i) % writers], i, 0);
      first.look(tensor, i, kSlow);
      second.look(tensor, i, i % 2 == 0 ? kSlow : 0);
    }
    CHECK(first.wrong() == 0);
    CHECK(second.wrong() == 0);
  }
}

TEST_CASE("gpu: a bound on memory is kept while its users are slow [gpu]") {
  if (!has_gpu()) return;
  constexpr std::int64_t kLimit = 8 << 20;
  const std::int64_t before = memory::limit(Device::cuda());
  memory::clear(Device::cuda());
  memory::set_limit(kLimit, Device::cuda());
  memory::reset_peak(Device::cuda());
  {
    const Stream writer(Device::cuda());
    Reader reader;
    for (int i = 0; i < 1000; ++i) reader.look(slow_tensor(writer, i, 0), i, kSlow / 4);
    CHECK(reader.wrong() == 0);
    CHECK(memory::stats(Device::cuda()).bytes_peak <= kLimit);
  }
  memory::set_limit(before, Device::cuda());
}

TEST_CASE("gpu: one stream has its own block again at once [gpu]") {
  if (!has_gpu()) return;
  const Stream stream(Device::cuda());
  std::set<void*> addresses;
  Reader reader;
  for (int i = 0; i < 200; ++i) {
    const Tensor tensor = slow_tensor(stream, i);
    addresses.insert(tensor.data());
    reader.look_on(stream, tensor, i);
  }
  CHECK(addresses.size() == 1);
  CHECK(reader.wrong() == 0);
}

TEST_CASE("gpu: work passes through 64 streams in order [gpu]") {
  if (!has_gpu()) return;
  std::vector<Stream> streams;
  for (int i = 0; i < 64; ++i) streams.emplace_back(Device::cuda());
  Reader reader;
  const Tensor tensor = new_tensor(streams[0]);
  for (int i = 0; i < 640; ++i) {
    const auto at = static_cast<std::size_t>(i);
    fill(streams[at % 64], tensor, i, kSlow / 4);
    reader.look_on(streams[(at * 7 + 3) % 64], tensor, i);
  }
  CHECK(reader.wrong() == 0);
}

TEST_CASE("gpu: an event is a moment, and a stream can wait for it [gpu]") {
  if (!has_gpu()) return;
  const Stream writer(Device::cuda());
  Reader reader;
  for (int i = 0; i < 10; ++i) {
    const Tensor tensor = new_tensor(writer);
    uses(tensor, writer, true);
    spin_fill(writer.handle(), numbers_of(tensor), i, kNumbers, 100 * kSlow);
    const Event written = writer.record();
    CHECK(!written.query());
    spin_fill(writer.handle(), numbers_of(tensor), i, kNumbers, 100 * kSlow);
    reader.stream().wait(written);
    reader.look(tensor, i, 0, false);
    CHECK(!writer.query());
    written.sync();
    CHECK(written.query());
    writer.sync();
    CHECK(writer.query());
  }
  CHECK(reader.wrong() == 0);
}

TEST_CASE("gpu: a stream waits for a stream, and for a tensor [gpu]") {
  if (!has_gpu()) return;
  dirty_the_cache();
  const Stream writer(Device::cuda());
  Reader reader;
  for (int i = 0; i < 100; ++i) {
    const Tensor tensor = slow_tensor(writer, i);
    if (i % 2 == 0) {
      reader.stream().wait(writer);
    } else {
      reader.stream().wait(tensor);
    }
    reader.look(tensor, i, 0, false);
  }
  CHECK(reader.wrong() == 0);
}

TEST_CASE("gpu: streams come and go while their work is under way [gpu] [memcheck]") {
  if (!has_gpu()) return;
  dirty_the_cache();
  Reader reader;
  std::set<std::uint64_t> ids;
  for (int i = 0; i < 200; ++i) {
    const Stream writer(Device::cuda());
    ids.insert(writer.id());
    reader.look(slow_tensor(writer, i, kSlow / 4), i);
  }
  CHECK(ids.size() == 200);
  CHECK(reader.wrong() == 0);
}

TEST_CASE("gpu: copies are in order with slow kernels, to the host and back [gpu] [memcheck]") {
  if (!has_gpu()) return;
  const Stream writer(Device::cuda()), copier(Device::cuda());
  Reader reader;
  for (int i = 0; i < 50; ++i) {
    const Tensor tensor = slow_tensor(writer, i);
    const Tensor copied = new_tensor(copier);
    tensor.copy_to(copied, copier);
    fill(writer, tensor, -2, 0);  // at once: it waits for the copy
    reader.look(copied, i);
    if (i % 10 == 0) CHECK(first_number(copied) == i);
  }
  CHECK(reader.wrong() == 0);
}

TEST_CASE("gpu: the host reads what a slow kernel wrote, and waits for that alone [gpu]") {
  if (!has_gpu()) return;
  const Stream writer(Device::cuda()), other(Device::cuda());
  const Tensor late = slow_tensor(other, 1, 5000 * kSlow);
  const Event others = other.record();
  for (int i = 0; i < 20; ++i) CHECK(first_number(slow_tensor(writer, i)) == i);
  CHECK(!others.query());
  CHECK(first_number(late) == 1);
}
