#include "exec/job_queue.hpp"

#include <mutex>

namespace penstock::exec {

// The counts have one writer at a time, the holder of the lock, so they need no read-modify-write.
// Only a rise of shared_ must be ordered (see parking.hpp): one that is read too high costs a look.
constexpr auto kRelaxed = std::memory_order_relaxed;

void JobQueue::push(Job* job) {
  const std::lock_guard guard(lock_);
  if (closed_) return;
  job->next = nullptr;
  (oldest_ == nullptr ? oldest_ : newest_->next) = job;
  newest_ = job;
  size_.store(size_.load(kRelaxed) + 1, kRelaxed);
  if (!job->light) shared_.store(shared_.load(kRelaxed) + 1);
}

Job* JobQueue::pop() {
  if (!has_any()) return nullptr;
  const std::lock_guard guard(lock_);
  Job* job = oldest_;
  if (job == nullptr) return nullptr;
  oldest_ = job->next;
  size_.store(size_.load(kRelaxed) - 1, kRelaxed);
  if (!job->light) shared_.store(shared_.load(kRelaxed) - 1, kRelaxed);
  return job;
}

bool JobQueue::share_all() {
  if (!has_any()) return false;
  const std::lock_guard guard(lock_);
  const int size = size_.load(kRelaxed);
  if (shared_.load(kRelaxed) == size) return false;
  for (Job* job = oldest_; job != nullptr; job = job->next) job->light = false;
  shared_.store(size);
  return true;
}

void JobQueue::close() {
  const std::lock_guard guard(lock_);
  closed_ = true;
  oldest_ = nullptr;
  size_.store(0, kRelaxed);
  shared_.store(0, kRelaxed);
}

void SeededJobs::push(Job* job) {
  const std::lock_guard guard(lock_);
  if (closed_) return;
  jobs_.push_back(job);
  size_.store(jobs_.size());
}

Job* SeededJobs::pick(Random& random) {
  if (!has_any()) return nullptr;
  const std::lock_guard guard(lock_);
  if (jobs_.empty()) return nullptr;
  Job*& place = jobs_[random.below(jobs_.size())];
  Job* job = place;
  place = jobs_.back();
  jobs_.pop_back();
  size_.store(jobs_.size(), kRelaxed);
  return job;
}

void SeededJobs::close() {
  const std::lock_guard guard(lock_);
  closed_ = true;
  jobs_.clear();
  size_.store(0, kRelaxed);
}

}  // namespace penstock::exec
