// The race checker (PENSTOCK_CHECK=order). An access that is not ordered, by waits and not by luck,
// against an earlier conflicting one is a race, and each such pair is reported once: vector clocks
// over streams, their tasks and host threads decide, with exact numbers for each access and no
// bound on their count. Marks that happen to cover more than was asked for do not count.
//
// What orders: a stream's own order; what the calling thread (or task) did or waited for before it
// enqueued; waits for events, streams and tensors. A wait for a tensor covers all accesses noted of
// its memory that conflict. What a task waits for orders the rest of the task and what that
// enqueues, not what is queued behind the task. Two host threads are taken as ordered against each
// other (that is ThreadSanitizer's field).
//
// It sees what passes Penstock. Of each block it keeps some hundred accesses, and forgets first
// those that a later one of the same stream or thread stands for.
// Everything is under one lock: this is a tool for tests, not for production. Where the checker is
// off only is_on() is called.
#pragma once

#include "base/settings.hpp"
#include "order/range.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace penstock::order::check {

using Times = std::vector<std::uint64_t>;  // by actor

inline constexpr std::uint32_t kNoActor = UINT32_MAX;

struct Moment {
  std::uint32_t actor = kNoActor;
  std::uint64_t time = 0;

  [[nodiscard]] bool is_set() const { return actor != kNoActor; }
};

/// One moment of one actor and what that is ordered behind.
struct Position {
  std::uint32_t actor = kNoActor;
  std::uint64_t time = 0;
  std::shared_ptr<const Times> behind;
  /// Inside a task: where that is on its stream. What is ordered behind the task is behind this.
  Moment task;

  [[nodiscard]] bool is_set() const { return actor != kNoActor; }
  [[nodiscard]] bool reaches(const Moment& moment) const;
  [[nodiscard]] bool covers(const Position& other) const;
};

/// Who did it and where: opaque here, named by the rooms below.
struct Tag {
  std::string what;
  std::string place;
  std::string label;
};

struct Access {
  Position position;
  Range range;
  std::int64_t base = 0;
  bool is_write = false;
  Tag tag;
  std::string thread;
  std::string actor_name;
};

/// What one block of memory has seen.
struct Shadow {
  std::vector<Access> accesses;
  /// What a reader or a writer that waits for the tensor is behind, of accesses forgotten.
  Position forgotten_writes;
  Position forgotten;
  /// Address of the block, from which reports count bytes.
  std::int64_t base = 0;

  /// The memory has another owner now.
  void clear();
};

/// A stream, the tasks of a stream (one after another), or a host thread.
class Actor {
 public:
  Actor(std::string name, bool is_thread);

 private:
  friend struct Book;
  Actor() = default;
  std::uint32_t index_ = kNoActor;
  std::uint64_t time_ = 0;
  Times behind_;
  std::shared_ptr<const Times> shared_;
};

[[nodiscard]] bool is_on();
/// For tests: takes the place of PENSTOCK_CHECK.
void set_mode(OrderCheck mode);

/// A new moment of the calling thread; while it runs a task, of that task.
[[nodiscard]] Position host_access();
/// What the calling thread (or task) is ordered behind goes on to the stream.
[[nodiscard]] Position enqueue(Actor& stream);
/// The stream's moment now: what a record captures.
[[nodiscard]] Position now(Actor& stream);
void wait(Actor& stream, const Position& position);
void host_wait(const Position& position);

/// The accesses that a reader (or a writer) has to be ordered behind.
[[nodiscard]] std::vector<Position> conflicts(const Shadow& shadow, bool is_write);
/// Notes an access and reports the earlier ones that nothing orders against it.
void access(Shadow& shadow, const Position& position, const Range& range, bool is_write, Tag tag);

/// The calling thread runs a task that was enqueued at this position.
class TaskScope {
 public:
  explicit TaskScope(const Position& position);
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

 private:
  Moment task_;
  Actor* tasks_;
  TaskScope* outer_;
  friend struct Book;
};

/// The user's word for what the calling thread does now.
void set_label(std::string label);
[[nodiscard]] const std::string& label();

struct Race {
  Access earlier;
  Access later;
};
/// Takes the text of each race, under the checker's lock, in place of stderr; nullptr: stderr
/// again.
void set_reporter(void (*reporter)(const std::string& text));
/// The races found so far, oldest first (at most 1,000 are kept), and how many there were.
[[nodiscard]] std::vector<Race> races();
[[nodiscard]] std::int64_t race_count();
void clear_races();

}  // namespace penstock::order::check
