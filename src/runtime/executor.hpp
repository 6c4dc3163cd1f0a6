// Who runs jobs of a run: the pool of C++ workers, or lanes, threads of a host language that the
// runtime knows by this interface alone.
#pragma once

#include "exec/pool.hpp"
#include "graph/body.hpp"

#include <cstdint>
#include <memory>

namespace penstock::runtime {

class Executor {
 public:
  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;
  /// Runs the job soon. From any thread; must not block. `hint` is for pools.
  virtual void post(exec::Job* job, exec::Hint hint) = 0;
  /// In a job, between two activations: others may have a turn with what its thread holds.
  virtual void between() {}
};

class PoolExecutor final : public Executor {
 public:
  explicit PoolExecutor(exec::Pool& pool) : pool_(&pool) {}
  void post(exec::Job* job, exec::Hint hint) override { pool_->submit(job, hint); }
  [[nodiscard]] int workers() const { return pool_->workers(); }

 private:
  exec::Pool* pool_;
};

/// Gives each node that needs one its lanes, at the start of a run, and is told when it is over.
/// Lanes live until the provider goes; posts may come from any thread until end_run().
class LaneProvider {
 public:
  LaneProvider() = default;
  LaneProvider(const LaneProvider&) = delete;
  LaneProvider& operator=(const LaneProvider&) = delete;
  virtual ~LaneProvider() = default;
  /// The lane for an instance of a node. `own`: it must not share one.
  [[nodiscard]] virtual Executor& lane(std::uint32_t chain, bool own) = 0;
};

}  // namespace penstock::runtime
