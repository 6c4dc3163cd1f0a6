// The words that speak of an operator and of its ports; the same in C++ and Python. Plain values.
#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace penstock {

class Message;

/// In what order the results of several instances go on.
enum class OutputOrder : std::uint8_t { input, arrival };
/// Which messages of several inputs belong together.
enum class Join : std::uint8_t { origin, position, latest, within };
/// What an edge does that is full.
enum class Policy : std::uint8_t { block, drop_oldest, drop_newest };
/// What an exception of an operator does.
enum class OnError : std::uint8_t {
  raise,    // ends the run
  skip,     // the message is dropped
  restart,  // the same, with a new object
  end,      // ends the operator alone: for sources
  call,     // on_error_call decides: returns to skip, throws to end the run
};
/// Which stream an operator instance works on.
enum class StreamPolicy : std::uint8_t { chain, per_operator, single, default_ };

/// Messages for each activation of a port: one from each sender that has not ended.
inline constexpr int kAnySize = -1;
inline constexpr std::int64_t kUnlimited = -1;

struct OperatorOptions {
  /// Empty: made from the operator's kind.
  std::string name = {};
  /// Inputs arrive as lists of 1 to `batch`; a batch goes when full or when its oldest is
  /// `max_delay_ms` old (0: at once with what waits).
  int batch = 1;
  double max_delay_ms = 0;
  /// A sliding window within one source.
  int window = 1;
  int stride = 1;
  /// One object and one order for each source.
  bool per_source = false;
  int instances = 1;
  OutputOrder order = OutputOrder::input;
  Join join = Join::origin;
  /// The user named `join`; otherwise inputs of a loop join by position.
  bool is_join_set = false;
  double within_ms = 0;
  bool is_on_error_set = false;
  OnError on_error = OnError::raise;
  /// Called with the error and the activation's first message.
  std::function<void(const std::exception_ptr&, const Message&)> on_error_call = nullptr;
  /// Skipped ones beyond this many raise.
  std::int64_t max_errors = kUnlimited;
  /// Of the edges into it.
  int capacity = 4;
  Policy policy = Policy::block;
  /// Older messages (by the time since their source emitted them) are dropped; negative: none.
  double max_age_ms = -1;
  /// Activations, then it ends.
  std::int64_t count = kUnlimited;
  /// Runs at most that often: a clock for sources.
  double every_ms = 0;
  /// Works in order with everything in the context.
  bool sync_context = false;
  /// Activations whose work on the stream may be incomplete.
  int in_flight = 4;
};

struct PortSpec {
  std::string name;
  /// What its messages are, for people and for the check of edges; empty: anything.
  std::string type;
  bool is_optional = false;
  /// The operator does not run until the work behind the messages is complete.
  bool is_host = false;
  /// It writes into what comes here.
  bool is_written = false;
  /// Messages for each activation, or kAnySize.
  int size = 1;
  /// 0: the operator's.
  int capacity = 0;
  bool is_policy_set = false;
  Policy policy = Policy::block;
  /// Negative: the operator's.
  double max_age_ms = -1;
};

}  // namespace penstock
