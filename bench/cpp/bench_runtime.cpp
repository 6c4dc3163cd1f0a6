// What a hop from one C++ operator to the next costs, beside oneTBB's flow graph, how two instances
// share out work, and what the kernel takes to wake a thread, as JSON. A hop's cost is the slope
// between chains of 1 and of 9. Everything runs by turns; medians. `bench_runtime ROUNDS` sets the
// number of turns.
#include "exec/futex.hpp"
#include "runtime_chain.hpp"
#ifdef BENCH_HAS_TBB
#include "tbb_chain.hpp"
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

using penstock::bench::Chain;
using penstock::bench::run_chain_s;

constexpr int kShort = 1;
constexpr int kLong = 9;

// Something measured by turns with the others.
struct Case {
  std::string name;
  std::function<double()> measure;
  std::vector<double> values = {};

  [[nodiscard]] double median() {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }
};

double checked(double elapsed_s) {
  if (elapsed_s >= 0) return elapsed_s;
  std::fputs("bench_runtime: messages were lost\n", stderr);
  std::exit(1);
}

double hop_ns(Chain chain) {
  chain.hops = kLong;
  const double longer_s = checked(run_chain_s(chain));
  chain.hops = kShort;
  const double shorter_s = checked(run_chain_s(chain));
  return (longer_s - shorter_s) * 1e9 / chain.messages / (kLong - kShort);
}

double rate(Chain chain) {
  chain.hops = 1;
  return chain.messages / checked(run_chain_s(chain));
}

double chain_ns(Chain chain) {
  chain.hops = kLong;
  return checked(run_chain_s(chain)) * 1e9 / chain.messages;
}

// From just before the call that wakes a thread to that thread. Both do what lanes do: the one that
// calls works before and after; the other looks for work for a while, and then sleeps.
double wake_up_ns() {
  constexpr std::uint32_t kWakes = 100;
  constexpr std::int64_t kWorkNs = 5'000;
  constexpr std::int64_t kLookNs = 50'000;
  std::atomic<std::uint32_t> word{0};
  std::atomic<std::int64_t> woken_ns{0};
  std::vector<std::int64_t> times;
  std::thread sleeper([&] {
    for (std::uint32_t turn = 0; turn < kWakes; ++turn) {
      while (word.load() == turn) penstock::exec::futex_wait(word, turn, penstock::kNever);
      times.push_back(penstock::now_ns() - woken_ns.load());
      penstock::bench::be_busy(kLookNs);
    }
  });
  for (std::uint32_t turn = 1; turn <= kWakes; ++turn) {
    std::this_thread::sleep_for(std::chrono::microseconds(500));
    penstock::bench::be_busy(kWorkNs);
    woken_ns.store(penstock::now_ns());
    word.store(turn);
    penstock::exec::futex_wake(word, 1);
    penstock::bench::be_busy(kWorkNs);
  }
  sleeper.join();
  std::nth_element(times.begin(), times.begin() + kWakes / 2, times.end());
  return static_cast<double>(times[kWakes / 2]);
}

std::vector<Case> cases() {
  constexpr int kMessages = 50'000;
  const Chain one{.messages = kMessages};
  const Chain two{.messages = kMessages, .workers = 2};
  const Chain batched{.messages = kMessages * 2, .batch = 16};
  const Chain alone{.messages = 2'000, .workers = 2, .work_ns = 20'000};
  Chain shared = alone;
  shared.instances = 2;
  std::vector<Case> all{
      {"hop", [=] { return hop_ns(one); }},
      {"hop, 2 workers", [=] { return hop_ns(two); }},
      {"chain", [=] { return chain_ns(one); }},
      {"chain, 2 workers", [=] { return chain_ns(two); }},
      {"hop, batched", [=] { return hop_ns(batched); }},
      {"rate of 1", [=] { return rate(alone); }},
      {"rate of 2", [=] { return rate(shared); }},
      {"wake-up", wake_up_ns},
  };
#ifdef BENCH_HAS_TBB
  using penstock::bench::tbb_chain_s;
  for (const int threads : {1, 2}) {
    all.push_back({threads == 1 ? "tbb hop" : "tbb hop, 2 workers", [=] {
                     const double longer_s = checked(tbb_chain_s(kLong, kMessages, threads));
                     const double shorter_s = checked(tbb_chain_s(kShort, kMessages, threads));
                     return (longer_s - shorter_s) * 1e9 / kMessages / (kLong - kShort);
                   }});
  }
#endif
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 9;
  auto all = cases();
  for (int round = 0; round < rounds; ++round) {
    for (Case& each : all) each.values.push_back(each.measure());
  }
  std::string text;
  for (Case& each : all) {
    text +=
        (text.empty() ? "{" : ", ") + ('"' + each.name + "\": ") + std::to_string(each.median());
  }
  std::puts((text + "}").c_str());
}
