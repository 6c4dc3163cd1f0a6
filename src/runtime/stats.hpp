// What a run counts: written by its nodes, read at any time. Plain values in a snapshot.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

namespace penstock::runtime {

/// An operator's exception and where it happened.
struct Failure {
  std::exception_ptr error;
  std::string node;
  int instance = 0;
  /// "camera #17", empty if no message was involved.
  std::string origin;
  /// Operators with work on a device that was lost, not seen complete: one of them broke it.
  std::vector<std::string> on_lost_device;
  /// Those that came later.
  std::vector<std::exception_ptr> later;
};

struct OperatorStats {
  std::string name;
  std::int64_t activations = 0;
  /// Activations a second, since the first.
  double rate = 0;
  /// Share of the time since the start that its instances ran, 0 to the number of instances.
  double busy = 0;
  double p50_s = 0;
  double p99_s = 0;
  std::int64_t skipped = 0;
  /// Messages that a route had no output for.
  std::int64_t unmatched = 0;
  /// For each instance the lane that it runs on now, by a number from 0; -1: the C++ workers.
  std::vector<int> lanes;
  std::exception_ptr last_error;
};

struct EdgeStats {
  std::string from;
  std::string from_port;
  std::string to;
  std::string to_port;
  std::int64_t passed = 0;
  /// Messages in it now, and room for.
  std::int64_t depth = 0;
  std::int64_t capacity = 0;
  /// Mean share of its room that was taken, as each message came.
  double fill = 0;
  /// Share of the time that its producer waited for room.
  double blocked = 0;
  std::int64_t dropped = 0;
  std::int64_t unpaired = 0;
  std::int64_t copies = 0;
};

struct LatencyStats {
  std::string source;
  std::string sink;
  std::int64_t count = 0;
  double p50_s = 0;
  double p99_s = 0;
};

struct RunStats {
  double seconds = 0;
  /// Threads of C++ operators.
  int workers = 0;
  std::vector<OperatorStats> operators;
  std::vector<EdgeStats> edges;
  std::vector<LatencyStats> latencies;
};

}  // namespace penstock::runtime
