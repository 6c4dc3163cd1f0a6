// What the tests of host streams and of order share: tasks from lambdas, waiting with patience,
// busy workers, and this program run once more under another schedule.
#pragma once

#include "backend_fixture.hpp"
#include "base/settings.hpp"
#include "exec/pool.hpp"
#include "exec_fixture.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace penstock::backend::test {

using exec_test::eventually;

// How often a random or racing test tries.
inline int scaled(int count) {
  const char* text = std::getenv("PENSTOCK_TEST_SCALE");
  const double scale = (text == nullptr ? 1.0 : std::atof(text)) * exec_test::kSanitizerScale;
  return std::max(1, static_cast<int>(count * scale));
}

template <class Body>
class LambdaTask final : public HostTask {
 public:
  LambdaTask(Body body, Lane* where) : body_(std::move(body)), lane_(where) {}
  void run() override { body_(); }
  [[nodiscard]] Lane* lane() const override { return lane_; }

 private:
  Body body_;
  Lane* lane_;
};

template <class Body>
void launch(StreamHandle stream, Body body, Lane* lane = nullptr) {
  host().launch(stream, std::make_unique<LambdaTask<Body>>(std::move(body), lane));
}

// With no deadline, as users wait: then the waiting thread helps.
inline bool sync(StreamHandle stream) { return host().sync_stream(stream, kNever); }
inline bool sync(EventHandle event) { return host().sync(event, kNever); }
inline std::string error_of(EventHandle event) { return message_of(host().error(event)); }
inline std::string error_of_sync(StreamHandle stream) {
  return thrown_by([=] { static_cast<void>(sync(stream)); });
}

// Every worker is inside a task from construction to release().
class BusyWorkers {
 public:
  BusyWorkers() {
    const int workers = exec::Pool::instance().workers();
    for (int i = 0; i < workers; ++i) {
      streams_.push_back(std::make_unique<TestStream>(host()));
      launch(streams_.back()->handle, [this] {
        busy_.fetch_add(1);
        while (!released_.load()) std::this_thread::sleep_for(std::chrono::microseconds(100));
      });
    }
    if (eventually([&] { return busy_.load() == workers; })) return;
    const int busy = busy_.load();
    const int asleep = exec::Pool::instance().sleeping();
    finish();
    FAIL("of ", workers, " workers ", busy, " are busy and ", asleep, " asleep");
  }
  ~BusyWorkers() { finish(); }
  BusyWorkers(const BusyWorkers&) = delete;
  BusyWorkers& operator=(const BusyWorkers&) = delete;
  void release() { released_.store(true); }

 private:
  void finish() {
    release();
    for (const auto& stream : streams_) static_cast<void>(sync(stream->handle));
  }

  std::vector<std::unique_ptr<TestStream>> streams_;
  std::atomic<int> busy_{0};
  std::atomic<bool> released_{false};
};

inline bool is_plain_schedule() { return !settings().seed && !settings().block_once; }

// Runs test cases of this program in a fresh process, with more in its environment ("NAME=value").
// Returns the end of what it printed, empty if all went well and at least one case ran.
inline std::string run_again(const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  // The first of two variables of one name counts.
  std::vector<char*> argv{const_cast<char*>("tests")}, envp;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& variable : environment) {
    envp.push_back(const_cast<char*>(variable.c_str()));
  }
  for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    alarm(300);
    execve("/proc/self/exe", argv.data(), envp.data());
    _exit(99);
  }
  close(ends[1]);
  std::string output;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) output.append(buffer, n);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  const bool none_ran = output.find("test cases: 0") != std::string::npos;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !none_ran) return "";
  const std::size_t begin = output.size() > 3000 ? output.size() - 3000 : 0;
  return "status " + std::to_string(status) + "\n" + output.substr(begin);
}

}  // namespace penstock::backend::test
