// Allocating and freeing host memory: ours beside malloc, mimalloc and jemalloc, in one process, in
// interleaved rounds. Prints a JSON list: median microseconds for one allocation and its free, by
// allocator, size and way of use. The peers are those of Debian's libmimalloc2.0 and libjemalloc2,
// where they are there.
#include "base/spin_lock.hpp"
#include "base/time.hpp"
#include "memory/cache.hpp"

#include <fmt/format.h>

#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

using namespace penstock;

namespace {

constexpr int kRounds = 41;
constexpr int kPairs = 20'000;
constexpr std::array<std::size_t, 3> kSizes{4 << 10, 1 << 20, 1080 * 1920 * 3};

struct Allocator {
  std::string name;
  void* (*allocate)(std::size_t) = nullptr;
  void (*free)(void*) = nullptr;
};

memory::Cache& cache() {
  static memory::Cache& host = memory::Cache::of(Device::cpu());
  return host;
}

void* ours(std::size_t bytes) { return cache().allocate(bytes, nullptr).leak(); }
void* ours_on_stream(std::size_t bytes) {
  thread_local const Ref<order::Stream> stream = order::Stream::make(Device::cpu());
  return cache().allocate(bytes, stream.get()).leak();
}
void free_ours(void* block) { static_cast<memory::Block*>(block)->release(); }

void* (*mallocx)(std::size_t, int) = nullptr;
void (*dallocx)(void*, int) = nullptr;

template <class Function>
bool find(const char* path, const char* name, Function*& function) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

std::vector<Allocator> allocators() {
  std::vector<Allocator> all{{"penstock", ours, free_ours},
                             {"penstock on a stream", ours_on_stream, free_ours},
                             {"malloc", std::malloc, std::free}};
  const std::string folder = "/usr/lib/x86_64-linux-gnu/";
  Allocator mimalloc{"mimalloc"};
  const std::string mi = folder + "libmimalloc.so.2";
  if (find(mi.c_str(), "mi_malloc",
           *reinterpret_cast<void* (**)(std::size_t)>(&mimalloc.allocate)) &&
      find(mi.c_str(), "mi_free", *reinterpret_cast<void (**)(void*)>(&mimalloc.free))) {
    all.push_back(mimalloc);
  }
  const std::string je = folder + "libjemalloc.so.2";
  if (find(je.c_str(), "mallocx", mallocx) && find(je.c_str(), "dallocx", dallocx)) {
    all.push_back({"jemalloc", [](std::size_t bytes) { return mallocx(bytes, 0); },
                   [](void* memory) { dallocx(memory, 0); }});
  }
  return all;
}

// Keeps the compiler from leaving the pair out.
void use(void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

double pairs_us(const Allocator& allocator, std::size_t bytes) {
  for (int i = 0; i < 100; ++i) allocator.free(allocator.allocate(bytes));
  const std::int64_t begin = now_ns();
  for (int i = 0; i < kPairs; ++i) {
    void* memory = allocator.allocate(bytes);
    use(memory);
    allocator.free(memory);
  }
  return static_cast<double>(now_ns() - begin) / kPairs / 1000;
}

double on_threads_us(const Allocator& allocator, std::size_t bytes, int count) {
  std::atomic<int> ready{0};
  std::vector<double> times(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      ready.fetch_add(1);
      while (ready.load() != count) cpu_relax();
      times[static_cast<std::size_t>(i)] = pairs_us(allocator, bytes);
    });
  }
  for (auto& thread : threads) thread.join();
  return *std::max_element(times.begin(), times.end());
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

double cpu_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

// One thread allocates, another frees, 64 at a time and both at once. What counts is the time that
// both spend in the allocator; not how they wait for one another, which is the same for all.
double handed_over_us(const Allocator& allocator, std::size_t bytes) {
  constexpr int kBatch = 64;
  struct alignas(64) Batch {
    std::atomic<bool> is_full{false};
    std::array<void*, kBatch> memory{};
    void wait_until(bool full) const {
      for (int spins = 0; is_full.load(std::memory_order_acquire) != full; ++spins) {
        spins < 1000 ? cpu_relax() : std::this_thread::yield();
      }
    }
  };
  constexpr int kBatches = kPairs / kBatch;
  std::array<Batch, 2> batches;
  std::vector<double> frees;
  std::vector<double> allocations;
  std::thread freer([&] {
    for (std::size_t i = 0; i < kBatches; ++i) {
      Batch& batch = batches[i % 2];
      batch.wait_until(true);
      const double begin = cpu_us();
      for (void* memory : batch.memory) allocator.free(memory);
      frees.push_back((cpu_us() - begin) / kBatch);
      batch.is_full.store(false, std::memory_order_release);
    }
  });
  for (std::size_t i = 0; i < kBatches; ++i) {
    Batch& batch = batches[i % 2];
    batch.wait_until(false);
    const double begin = cpu_us();
    for (void*& memory : batch.memory) memory = allocator.allocate(bytes);
    allocations.push_back((cpu_us() - begin) / kBatch);
    batch.is_full.store(true, std::memory_order_release);
  }
  freer.join();
  return median(allocations) + median(frees);
}

}  // namespace

int main(int, char** argv) {
  // jemalloc keeps its thread's state where room must be left before the program starts.
  if (std::getenv("GLIBC_TUNABLES") == nullptr) {
    setenv("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=16384", 1);
    execv("/proc/self/exe", argv);
  }
  const auto all = allocators();
  std::map<std::string, std::vector<double>> times;
  for (int round = 0; round < kRounds; ++round) {
    for (const std::size_t bytes : kSizes) {
      for (const Allocator& allocator : all) {
        const auto add = [&](const char* way, double time_us) {
          const std::string key = fmt::format(
              "\"allocator\": \"{}\", \"bytes\": {}, \"way\": \"{}\"", allocator.name, bytes, way);
          times[key].push_back(time_us);
        };
        add("1 thread", pairs_us(allocator, bytes));
        add("2 threads", on_threads_us(allocator, bytes, 2));
        add("handed over", handed_over_us(allocator, bytes));
      }
    }
  }
  std::vector<std::string> rows;
  for (const auto& [key, measured] : times) {
    rows.push_back(fmt::format("  {{{}, \"us\": {:.4f}}}", key, median(measured)));
  }
  fmt::print("[\n{}\n]\n", fmt::join(rows, ",\n"));
  return 0;
}
