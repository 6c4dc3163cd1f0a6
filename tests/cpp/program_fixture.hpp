// Random programs over streams and tensors as data, and which pairs of their accesses nothing
// orders: found on the graph of what happens before what, edge by edge, with no clock.
#pragma once

#include "base/random.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace penstock::program {

enum class Kind : std::uint8_t {
  access,       // on `stream`; it waits for what it needs if `waits`
  launch,       // the same, of all touches, and always waits
  host_access,  // by the thread, or by the task that it is in; waits for nothing
  record,       // into event slot `other`
  wait_event,   // nothing if that slot was never recorded
  wait_stream,
  wait_tensor,
  sync_event,
  sync_stream,
  sync_tensor,
  query_stream,
  renew,     // the tensor is dropped and made again, for `stream`
  borrow,    // the same with memory of somebody else, whose work is pending on `stream`
  run_task,  // on `stream`, with its touches declared, and the ops inside it
};

// Elements of a tensor of this shape, one byte each: 60 of them fit a word.
inline constexpr std::array<std::int64_t, 3> kShape{3, 4, 5};

struct Touch {
  std::size_t tensor = 0;
  bool is_write = false;
  std::array<std::int64_t, 3> begin{}, end = kShape, step{1, 1, 1};

  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t found = 0;
    for (auto i = begin[0]; i < end[0]; i += step[0]) {
      for (auto j = begin[1]; j < end[1]; j += step[1]) {
        for (auto k = begin[2]; k < end[2]; k += step[2]) {
          found |= std::uint64_t{1} << ((i * kShape[1] + j) * kShape[2] + k);
        }
      }
    }
    return found;
  }
};

struct Op {
  Kind kind{};
  int id = 0;              // the label of its accesses
  std::size_t thread = 0;  // that does it
  std::size_t stream = 0;
  std::size_t other = 0;  // event, stream or tensor
  bool waits = false;
  std::vector<Touch> touches;
  std::vector<Op> inside;
  bool was_idle = false;  // what a query found when the program ran
};

struct Program {
  std::size_t streams = 2;
  std::size_t threads = 1;
  std::vector<Op> ops;
};

using Pairs = std::vector<std::pair<int, int>>;  // ids: earlier, later; sorted

// Each node is a moment of a stream, a thread or the tasks of a stream, with those right before it.
class Oracle {
 public:
  static constexpr std::size_t kMost = 8;  // streams, threads, tensors, events

  [[nodiscard]] static Pairs races(const Program& program) {
    Oracle oracle;
    for (const Op& op : program.ops) oracle.add(op, oracle.threads_[op.thread], nullptr);
    std::ranges::sort(oracle.races_);
    return oracle.races_;
  }

 private:
  using Node = int;
  static constexpr Node kNone = -1;

  struct Noted {
    int id;
    Node node;
    Node exit;  // of the task that it is in
    bool is_thread;
    bool is_write;
    std::uint64_t bytes;
  };

  Node node(std::vector<Node> before) {
    std::erase(before, kNone);
    before_.push_back(std::move(before));
    return static_cast<Node>(before_.size()) - 1;
  }
  Node on_stream(std::size_t stream, Node caller, std::vector<Node> before = {}) {
    before.push_back(streams_[stream]);
    before.push_back(caller);
    return streams_[stream] = node(std::move(before));
  }

  struct Task {
    Node end;
    std::vector<Touch> touches;

    [[nodiscard]] bool has(std::size_t tensor) const {
      return std::ranges::find(touches, tensor, &Touch::tensor) != touches.end();
    }
  };

  [[nodiscard]] std::vector<Node> needed(std::size_t tensor, bool for_write) const {
    std::vector<Node> nodes;
    for (const Noted& noted : history_[tensor]) {
      if (for_write || noted.is_write) nodes.push_back(noted.node);
    }
    return nodes;
  }

  // Depth first, backwards.
  [[nodiscard]] bool is_before(Node first, Node second) const {
    std::vector<bool> seen(before_.size());
    std::vector<Node> open{second};
    while (!open.empty()) {
      const Node at = open.back();
      open.pop_back();
      if (at == first) return true;
      if (seen[static_cast<std::size_t>(at)]) continue;
      seen[static_cast<std::size_t>(at)] = true;
      for (const Node next : before_[static_cast<std::size_t>(at)]) open.push_back(next);
    }
    return false;
  }
  [[nodiscard]] bool is_before(const Noted& first, const Noted& second) const {
    return is_before(first.node, second.node) ||
           (first.exit != kNone && is_before(first.exit, second.node));
  }

  // A task waits for nothing that is behind its own end.
  [[nodiscard]] std::vector<Node> not_behind(const Task* task, std::vector<Node> nodes) const {
    if (task == nullptr) return nodes;
    std::erase_if(nodes, [&](Node one) { return is_before(task->end, one); });
    return nodes;
  }

  void note(const Op& op, Node at, const Task* task, bool is_thread) {
    const Node exit = task == nullptr ? kNone : task->end;
    for (const Touch& touch : op.touches) {
      const Noted noted{op.id, at, exit, is_thread, touch.is_write, touch.bytes()};
      for (const Noted& earlier : history_[touch.tensor]) {
        const bool conflict =
            (earlier.is_write || noted.is_write) && (earlier.bytes & noted.bytes) != 0;
        if (!conflict || (earlier.is_thread && is_thread)) continue;
        if (is_before(earlier, noted) || is_before(noted, earlier)) continue;
        races_.emplace_back(earlier.id, op.id);
      }
      history_[touch.tensor].push_back(noted);
    }
  }

  // `caller`: the newest node of the thread, or of the tasks of the stream that `task` is on.
  void add(const Op& op, Node& caller, const Task* task) {
    const auto until = [&](std::vector<Node> nodes) {
      std::erase(nodes, kNone);
      nodes = not_behind(task, std::move(nodes));
      nodes.push_back(caller);
      caller = node(std::move(nodes));
    };
    const auto all_needed = [&] {
      std::vector<Node> nodes;
      for (const Touch& touch : op.touches) {
        const auto some = needed(touch.tensor, touch.is_write);
        nodes.insert(nodes.end(), some.begin(), some.end());
      }
      return nodes;
    };
    switch (op.kind) {
      case Kind::access:
      case Kind::launch:
        note(op, on_stream(op.stream, caller, op.waits ? all_needed() : std::vector<Node>{}),
             nullptr, false);
        break;
      case Kind::host_access:
        until({});
        note(op, caller, task, task == nullptr);
        break;
      case Kind::record:
        events_[op.other] = on_stream(op.stream, caller);
        break;
      case Kind::wait_event:
        if (events_[op.other] != kNone) on_stream(op.stream, caller, {events_[op.other]});
        break;
      case Kind::wait_stream:
        if (op.stream != op.other) on_stream(op.stream, caller, {on_stream(op.other, caller)});
        break;
      case Kind::wait_tensor:  // which is nothing for one that nobody used
        if (!history_[op.other].empty()) on_stream(op.stream, caller, needed(op.other, true));
        break;
      case Kind::sync_event:
        until({events_[op.other]});
        break;
      case Kind::sync_stream:
        until({streams_[op.stream]});
        break;
      case Kind::sync_tensor:
        if (task == nullptr || !task->has(op.other)) until(needed(op.other, true));
        break;
      case Kind::query_stream:
        if (op.was_idle) until({streams_[op.stream]});
        break;
      case Kind::renew:
      case Kind::borrow:
        history_[op.touches[0].tensor].clear();
        if (op.kind == Kind::borrow) note(op, on_stream(op.stream, caller), nullptr, false);
        break;
      case Kind::run_task: {
        const Node entry = on_stream(op.stream, caller, all_needed());
        const Task inner{streams_[op.stream] = node({entry}), op.touches};
        note(op, inner.end, nullptr, false);
        Node& tasks = tasks_[op.stream];
        tasks = node({entry, tasks});
        for (const Op& one : op.inside) add(one, tasks, &inner);
        break;
      }
    }
  }

  static constexpr std::array<Node, kMost> none() {
    std::array<Node, kMost> nodes{};
    nodes.fill(kNone);
    return nodes;
  }
  std::vector<std::vector<Node>> before_;
  std::array<Node, kMost> streams_ = none(), threads_ = none(), tasks_ = none(), events_ = none();
  std::array<std::vector<Noted>, kMost> history_;
  Pairs races_;
};

}  // namespace penstock::program
