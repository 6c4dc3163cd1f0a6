#include <penstock/error.hpp>

#include "exec/fork.hpp"
#include "exec/parallel_for.hpp"
#include "exec/pool.hpp"
#include "exec/timers.hpp"
#include "exec_fixture.hpp"

#include <atomic>
#include <cstdlib>
#include <doctest/doctest.h>
#include <exception>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

using namespace penstock;
using namespace exec_test;
using exec::Hint;
using exec::Pool;

namespace {

constexpr unsigned kPatienceS = kPatience / kSecond;

struct Ended {
  int code = -1;
  std::string output;
};

Ended wait_for_child(pid_t child, int output) {
  Ended ended;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(output, buffer, sizeof buffer)) > 0;)
    ended.output.append(buffer, n);
  close(output);
  int status = 0;
  waitpid(child, &status, 0);
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  return ended;
}

int use_after_early_fork() {
  const int workers = Pool::instance().workers();
  const pid_t child = fork();
  if (child == 0) {
    alarm(kPatienceS);
    std::atomic<bool> ran{false};
    Task job([&ran] { ran = true; });
    Pool::instance().submit(&job);
    const bool usable = eventually([&] { return ran.load(); }) && !exec::forked();
    _exit(usable && workers > 0 && Pool::instance().stop(kPatience) ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

int throw_out_of_job() {
  std::set_terminate([] { _exit(42); });
  const auto pool = Pool::make({.workers = 1, .seed = {}});
  Task job([] { throw std::runtime_error("no frame"); });
  pool->submit(&job);
  sleep_for_ms(kPatienceS * 1000);
  return 1;
}

// Some things need a process without the threads of the test runner: this program again, which then
// ends before main().
constexpr const char* kAlone = "PENSTOCK_TEST_ALONE";

const bool runs_tests = [] {
  const char* name = std::getenv(kAlone);
  if (name == nullptr) return true;
  _exit(std::string(name) == "early fork" ? use_after_early_fork() : throw_out_of_job());
}();

Ended run_alone(const char* name) {
  REQUIRE(runs_tests);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    setenv(kAlone, name, 1);
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    execl("/proc/self/exe", "tests", nullptr);
    _exit(99);
  }
  close(ends[1]);
  return wait_for_child(child, ends[0]);
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("exec: a forked child gets an error, not a hang") {
  std::atomic<bool> ran{false};
  Task job([&ran] { ran = true; });
  Pool::instance().submit(&job);
  REQUIRE(eventually([&] { return ran.load(); }));
  CHECK_FALSE(exec::forked());
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    alarm(kPatienceS);  // a hang ends here
    close(ends[0]);
    int code = 1;
    try {
      Pool::instance().submit(&job);
    } catch (const Error& error) {
      code = contains(error.what(), "submit: this process was forked") ? 0 : 2;
      static_cast<void>(!write(ends[1], error.what(), std::string(error.what()).size()));
    }
    int rows = 0;
    exec::parallel_for(0, 100, 1, [&](std::int64_t from, std::int64_t to) {
      rows += static_cast<int>(to - from);
    });
    if (rows != 100) code = 3;
    exec::Timer timer{.job = &job};
    try {
      exec::Timers::instance().arm(timer, 0);
      code = 4;
    } catch (const Error&) {
    }
    if (!Pool::instance().stop(kNever) || Pool::instance().idle() != 0) code = 5;
    _exit(exec::forked() ? code : 6);
  }
  close(ends[1]);
  const Ended ended = wait_for_child(child, ends[0]);
  CHECK(ended.code == 0);
  CHECK(ended.output ==
        "submit: this process was forked after threads had begun to work with Penstock; use the "
        "spawn "
        "start method, or import penstock in the child");
  CHECK_FALSE(exec::forked());
}

TEST_CASE("exec: a fork before the first use leaves the child usable") {
  const Ended ended = run_alone("early fork");
  CAPTURE(ended.output);
  CHECK(ended.code == 0);
}

TEST_CASE("exec: a job that throws ends the process, which says why") {
  const Ended ended = run_alone("throw");
  CHECK(ended.code == 42);
  CHECK(contains(ended.output, "a job threw out of run(), which must not throw: no frame"));
}
