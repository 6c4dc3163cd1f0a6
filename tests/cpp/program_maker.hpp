// Makes random programs for the race checker from a seed: anything in any order, or accesses that
// each come after the waits that they need.
#pragma once

#include "program_fixture.hpp"

namespace penstock::program {

inline constexpr std::size_t kTensors = 4;
inline constexpr std::size_t kEvents = 4;

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {
    program_.streams = random_.below(5) + 2;
    program_.threads = random_.below(3) == 0 ? random_.below(2) + 2 : 1;
  }

  // Anything in any order.
  Program any() {
    for (std::uint64_t ops = random_.below(70) + 10; ops > 0; --ops) {
      program_.ops.push_back(any_op(static_cast<Kind>(random_.below(14))));
      if (random_.below(2) == 0) program_.ops.push_back(any_op(Kind::access));
    }
    return program_;
  }

  // Every access comes after the waits that it needs.
  Program ordered() {
    for (std::uint64_t accesses = random_.below(25) + 5; accesses > 0; --accesses) {
      const auto kinds = {Kind::access, Kind::access, Kind::access,   Kind::host_access,
                          Kind::launch, Kind::borrow, Kind::run_task, Kind::renew};
      Op op = any_op(kinds.begin()[random_.below(kinds.size())]);
      if (op.kind == Kind::access) op.waits = false;
      if (op.kind == Kind::run_task) {
        op.touches.clear();
        op.inside = {inside_access(op)};
      }
      program_.ops.push_back(std::move(op));
      for (Pairs races; !(races = Oracle::races(program_)).empty();) add_wait_for(races[0].first);
    }
    return program_;
  }

 private:
  Op new_op(Kind kind) {
    Op op;
    op.kind = kind;
    op.id = next_id_++;
    op.thread = random_.below(program_.threads);
    op.stream = random_.below(program_.streams);
    return op;
  }

  Touch any_touch() {
    Touch touch;
    touch.tensor = random_.below(kTensors);
    touch.is_write = random_.below(2) == 0;
    for (std::size_t dim = 0; dim < 3; ++dim) {
      if (random_.below(2) == 0) continue;
      const auto extent = static_cast<std::uint64_t>(kShape[dim]);
      const std::uint64_t begin = random_.below(extent);
      touch.begin[dim] = static_cast<std::int64_t>(begin);
      touch.end[dim] = static_cast<std::int64_t>(begin + random_.below(extent - begin) + 1);
      touch.step[dim] = static_cast<std::int64_t>(random_.below(2)) + 1;
    }
    return touch;
  }

  Op any_op(Kind kind) {
    Op op = new_op(kind);
    switch (kind) {
      case Kind::launch:
        op.waits = true;
        op.touches = {any_touch(), any_touch()};
        break;
      case Kind::access:
        op.waits = random_.below(3) == 0;
        [[fallthrough]];
      case Kind::host_access:
        op.touches = {any_touch()};
        break;
      case Kind::renew:
      case Kind::borrow:
        op.touches = {{random_.below(kTensors), true}};
        break;
      case Kind::wait_stream:
        op.other = random_.below(program_.streams);
        break;
      case Kind::run_task:
        if (random_.below(2) == 0) op.touches = {any_touch()};
        for (std::uint64_t ops = random_.below(6) + 1; ops > 0; --ops) {
          constexpr std::array kInside{Kind::access,      Kind::access,      Kind::launch,
                                       Kind::host_access, Kind::host_access, Kind::record,
                                       Kind::wait_event,  Kind::wait_stream, Kind::wait_tensor,
                                       Kind::sync_event,  Kind::sync_tensor};
          op.inside.push_back(any_op(kInside[random_.below(kInside.size())]));
        }
        break;
      default:
        op.other = random_.below(kTensors);  // or an event
    }
    return op;
  }

  Op inside_access(const Op& task) {
    Op op = any_op(Kind::host_access);
    op.thread = task.thread;
    op.stream = task.stream;
    return op;
  }

  // Puts one before the last op.
  void add_wait_for(int id) {
    const Op& last = program_.ops.back();
    const auto earlier = std::ranges::find_if(program_.ops, [&](const Op& op) {
      return op.id == id || (!op.inside.empty() && op.inside[0].id == id);
    });
    const Op& later_access = last.kind == Kind::run_task ? last.inside[0] : last;
    const bool is_on_stream = last.kind != Kind::host_access;
    const bool was_on_stream = earlier->kind != Kind::host_access;
    std::vector<Op> waits;
    const auto add = [&](Kind kind, std::size_t stream, std::size_t other) {
      Op op = new_op(kind);
      op.thread = last.thread;
      op.stream = stream;
      op.other = other;
      waits.push_back(op);
    };
    const std::size_t event = random_.below(kEvents);
    const std::uint64_t way = was_on_stream ? random_.below(3) : 0;
    if (way == 0) {
      add(is_on_stream ? Kind::wait_tensor : Kind::sync_tensor, last.stream,
          later_access.touches[0].tensor);
    } else if (way == 1) {
      add(Kind::record, earlier->stream, event);
      add(is_on_stream ? Kind::wait_event : Kind::sync_event, last.stream, event);
    } else if (is_on_stream && random_.below(2) == 0) {
      add(Kind::wait_stream, last.stream, earlier->stream);
    } else {
      add(Kind::sync_stream, earlier->stream, 0);
    }
    program_.ops.insert(program_.ops.end() - 1, waits.begin(), waits.end());
  }

  Random random_;
  Program program_;
  int next_id_ = 1;
};

}  // namespace penstock::program
