// The main of all C++ tests, and a watchdog: a test that hangs is named with what its threads do,
// and ends the program.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "print_threads.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

namespace {

class Watchdog final : public doctest::IReporter {
 public:
  explicit Watchdog(const doctest::ContextOptions&) {
    if (const char* text = std::getenv("PENSTOCK_TEST_TIMEOUT_S")) timeout_s_ = std::atof(text);
  }

  void test_run_start() override {
    thread_ = std::thread([this] { watch(); });
  }
  void test_run_end(const doctest::TestRunStats&) override {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_one();
    if (thread_.get_id() != std::this_thread::get_id()) thread_.join();
  }
  void test_case_start(const doctest::TestCaseData& test) override { set(test.m_name); }
  void test_case_end(const doctest::CurrentTestCaseStats&) override { set(""); }

  void report_query(const doctest::QueryData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

 private:
  void set(const char* name) {
    {
      const std::lock_guard lock(mutex_);
      running_ = name;
      ++count_;
    }
    changed_.notify_one();
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!is_over_) {
      const int seen = count_;
      const bool changed = changed_.wait_for(lock, std::chrono::duration<double>(timeout_s_),
                                             [&] { return is_over_ || count_ != seen; });
      if (changed || running_.empty()) continue;
      std::fprintf(stderr, "still running after %.0f s, given up: %s\n", timeout_s_,
                   running_.c_str());
      print_threads();
      lock.unlock();  // doctest reports the abort, to this listener too
      std::abort();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string running_;
  int count_ = 0;
  bool is_over_ = false;
  double timeout_s_ = 120;
  std::thread thread_;
};

DOCTEST_REGISTER_LISTENER("watchdog", 0, Watchdog);

}  // namespace

// libstdc++ counts the holders of an exception where ThreadSanitizer, which asks for this, does not
// see it.
extern "C" [[gnu::visibility("default")]] const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:std::__exception_ptr::exception_ptr::_M_release\n"
         "race:std::*error::~*error\n";
}
