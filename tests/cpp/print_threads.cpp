#include "print_threads.hpp"

#include <execinfo.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

namespace {

std::atomic<int> printed{0};

void print_stack(int) {
  const int error = errno;
  std::array<void*, 64> frames{};
  backtrace_symbols_fd(frames.data(), backtrace(frames.data(), static_cast<int>(frames.size())),
                       STDERR_FILENO);
  errno = error;
  printed.fetch_add(1);
}

std::string read_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// State and ticks of CPU time, in user mode and in the kernel, by proc(5).
std::string state_of(const std::filesystem::path& task) {
  const std::string stat = read_line(task / "stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));  // the name may hold anything
  std::string text;
  std::string value;
  for (int field = 3; field <= 15 && fields >> value; ++field) {
    if (field == 3 || field >= 14) text += " " + value;
  }
  return text;
}

}  // namespace

void print_threads() {
  void* frame = nullptr;
  static_cast<void>(backtrace(&frame, 1));  // loads what it needs, before a signal does
  struct sigaction action{};
  action.sa_handler = print_stack;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR2, &action, nullptr);
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const int id = std::atoi(task.path().filename().c_str());
    if (id == gettid()) continue;
    std::fprintf(
        stderr, "thread %d %s: state and CPU ticks%s; in the kernel: %s; system call: %s\n", id,
        read_line(task.path() / "comm").c_str(), state_of(task.path()).c_str(),
        read_line(task.path() / "wchan").c_str(), read_line(task.path() / "syscall").c_str());
    const int before = printed.load();
    syscall(SYS_tgkill, getpid(), id, SIGUSR2);
    for (int ms = 0; ms < 200 && printed.load() == before; ++ms) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
}
