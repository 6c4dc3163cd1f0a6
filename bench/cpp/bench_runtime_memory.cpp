// What a chain of C++ operators takes of memory, as JSON: heap allocations for each message once it
// runs, and how much the resident memory grows over some millions of messages.
// `bench_runtime_memory MESSAGES` sets how many.
#include "runtime_chain.hpp"

#include "count_allocations.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace {

long resident_kb() {
  long total = 0;
  long resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld %ld", &total, &resident) != 2) std::exit(1);
  std::fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

}  // namespace

int main(int argc, char** argv) {
  using penstock::test::allocations;
  const int messages = argc > 1 ? std::atoi(argv[1]) : 5'000'000;
  const int warm_up = messages / 10;
  long resident_first = 0;
  std::int64_t allocated_first = 0;
  std::int64_t allocated_last = 0;
  const auto look = [&](int count) {
    if (count == warm_up) {
      resident_first = resident_kb();
      allocated_first = allocations.load();
    }
    if (count == messages) allocated_last = allocations.load();
  };
  const double elapsed_s = penstock::bench::run_chain_s(
      {.hops = 3, .messages = messages, .workers = 2, .at_sink = look});
  if (elapsed_s < 0) {
    std::fputs("bench_runtime_memory: messages were lost\n", stderr);
    return 1;
  }
  std::printf("{\"allocations\": %lld, \"messages\": %d, \"grown_kb\": %ld}\n",
              static_cast<long long>(allocated_last - allocated_first), messages - warm_up,
              resident_kb() - resident_first);
}
