#include "order/check.hpp"

#include "base/throw.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <deque>
#include <mutex>

#include <pthread.h>
#include <unistd.h>

namespace penstock::order::check {
namespace {

constexpr std::size_t kAccessesKept = 256;
constexpr std::size_t kRacesKept = 1000;

std::atomic<int> mode{-1};

void print(const std::string& text) { std::fprintf(stderr, "penstock: %s\n", text.c_str()); }
std::atomic<void (*)(const std::string&)> reporter{&print};

OrderCheck current_mode() {
  const int set = mode.load(std::memory_order_relaxed);
  return set < 0 ? settings().check : static_cast<OrderCheck>(set);
}

thread_local TaskScope* task_scope = nullptr;
thread_local std::string thread_label;

std::string thread_name() {
  char name[32] = "";
  pthread_getname_np(pthread_self(), name, sizeof(name));
  return fmt::format("{} ({})", name, gettid());
}

std::string describe(const Access& access) {
  std::string text = fmt::format("{} of bytes {} to {} by {}", access.is_write ? "write" : "read",
                                 access.range.begin - access.base, access.range.end() - access.base,
                                 access.tag.what);
  text += fmt::format(" on {}, thread {}", access.actor_name, access.thread);
  if (!access.tag.place.empty()) text += fmt::format(", at {}", access.tag.place);
  if (!access.tag.label.empty()) text += fmt::format(", label \"{}\"", access.tag.label);
  return text;
}

std::string describe(const Race& race) {
  return fmt::format(
      "order: nothing orders these two accesses to one tensor\n  {}\n  {}\n"
      "  let the second wait: pass the tensor to launch() or uses(), or call stream.wait(tensor)",
      describe(race.earlier), describe(race.later));
}

}  // namespace

// All that the checker knows, under one lock.
struct Book {
  std::mutex mutex;
  std::vector<std::string> actors;
  std::vector<bool> is_thread;
  std::deque<Race> races;
  std::int64_t race_count = 0;

  static Book& get() {
    static auto* book = new Book;
    return *book;
  }

  static std::uint32_t index(const Actor& actor) { return actor.index_; }
  static Position position(Actor& actor) {
    if (!actor.shared_) actor.shared_ = std::make_shared<const Times>(actor.behind_);
    return {actor.index_, actor.time_, actor.shared_};
  }
  static Position tick(Actor& actor) {
    ++actor.time_;
    return position(actor);
  }
  static void raise(Actor& actor, std::uint32_t index, std::uint64_t time) {
    if (index == actor.index_) return;
    if (actor.behind_.size() <= index) actor.behind_.resize(index + 1);
    if (actor.behind_[index] >= time) return;
    actor.behind_[index] = time;
    actor.shared_.reset();
  }
  static void join(Actor& actor, const Position& position) {
    if (!position.is_set()) return;
    raise(actor, position.actor, position.time);
    for (std::uint32_t index = 0; index < position.behind->size(); ++index) {
      raise(actor, index, (*position.behind)[index]);
    }
  }
  static Position& task_position(TaskScope& scope) { return scope.position_; }

  void report(const std::vector<Race>& found) {
    for (const Race& race : found) {
      ++race_count;
      if (races.size() == kRacesKept) races.pop_front();
      races.push_back(race);
      if (current_mode() != OrderCheck::raise) reporter.load()(describe(race));
    }
    if (!found.empty() && current_mode() == OrderCheck::raise) {
      throw StreamError(describe(found.front()));
    }
  }
};

namespace {

Actor& thread_actor() {
  thread_local Actor actor("the host", true);
  return actor;
}

Position host_position_locked() {
  return task_scope != nullptr ? Book::task_position(*task_scope) : Book::position(thread_actor());
}

}  // namespace

bool Position::covers(const Position& other) const {
  if (actor == other.actor) return time >= other.time;
  return other.actor < behind->size() && (*behind)[other.actor] >= other.time;
}

bool overlaps(const Range& a, const Range& b) {
  if (a.run <= 0 || b.run <= 0 || a.begin >= b.end() || b.begin >= a.end()) return false;
  if (a.rows == 1 && b.rows == 1) return true;
  const Range& few = a.rows <= b.rows ? a : b;
  const Range& many = a.rows <= b.rows ? b : a;
  for (std::int64_t row = 0; row < few.rows; ++row) {
    const std::int64_t begin = few.begin + row * few.pitch;
    const std::int64_t end = begin + few.run;
    if (many.rows == 1 || many.pitch == 0) {
      if (begin < many.begin + many.run && many.begin < end) return true;
      continue;
    }
    // The last run of `many` that begins before `end`.
    const std::int64_t last = std::min((end - 1 - many.begin) / many.pitch, many.rows - 1);
    if (end > many.begin && last >= 0 && many.begin + last * many.pitch + many.run > begin) {
      return true;
    }
  }
  return false;
}

Actor::Actor(std::string name, bool is_thread) : name_(std::move(name)) {
  Book& book = Book::get();
  const std::lock_guard guard(book.mutex);
  index_ = static_cast<std::uint32_t>(book.actors.size());
  book.actors.push_back(name_);
  book.is_thread.push_back(is_thread);
}

bool is_on() { return current_mode() != OrderCheck::off; }
void set_mode(OrderCheck value) { mode.store(static_cast<int>(value)); }

Position host_access() {
  Actor& actor = thread_actor();
  const std::lock_guard guard(Book::get().mutex);
  return task_scope != nullptr ? Book::task_position(*task_scope) : Book::tick(actor);
}

Position enqueue(Actor& stream) {
  thread_actor();
  const std::lock_guard guard(Book::get().mutex);
  Book::join(stream, host_position_locked());
  return Book::tick(stream);
}

Position now(Actor& stream) {
  const std::lock_guard guard(Book::get().mutex);
  return Book::position(stream);
}

void wait(Actor& stream, const Position& position) {
  thread_actor();
  const std::lock_guard guard(Book::get().mutex);
  Book::join(stream, host_position_locked());
  Book::join(stream, position);
}

void host_wait(const Position& position) {
  if (!position.is_set()) return;
  Actor& actor = thread_actor();
  const std::lock_guard guard(Book::get().mutex);
  if (task_scope == nullptr) {
    Book::join(actor, position);
    return;
  }
  Position& task = Book::task_position(*task_scope);
  auto behind = std::make_shared<Times>(*task.behind);
  behind->resize(
      std::max<std::size_t>({behind->size(), position.behind->size(), position.actor + 1u}));
  for (std::size_t i = 0; i < position.behind->size(); ++i) {
    (*behind)[i] = std::max((*behind)[i], (*position.behind)[i]);
  }
  (*behind)[position.actor] = std::max((*behind)[position.actor], position.time);
  task.behind = std::move(behind);
}

std::vector<Position> conflicts(const Shadow& shadow, bool is_write) {
  std::vector<Position> positions;
  const std::lock_guard guard(Book::get().mutex);
  for (const Access& access : shadow.accesses) {
    if (is_write || access.is_write) positions.push_back(access.position);
  }
  return positions;
}

void access(Shadow& shadow, const Position& position, const Range& range, bool is_write, Tag tag) {
  Book& book = Book::get();
  const std::lock_guard guard(book.mutex);
  if (tag.label.empty()) tag.label = thread_label;
  Access access{position,
                range,
                shadow.base,
                is_write,
                std::move(tag),
                thread_name(),
                book.actors[position.actor]};
  std::vector<Race> found;
  for (const Access& earlier : shadow.accesses) {
    if (!earlier.is_write && !is_write) continue;
    if (book.is_thread[earlier.position.actor] && book.is_thread[position.actor]) continue;
    if (!overlaps(earlier.range, range)) continue;
    if (position.covers(earlier.position) || earlier.position.covers(position)) continue;
    found.push_back({earlier, access});
  }
  if (shadow.accesses.size() == kAccessesKept) shadow.accesses.erase(shadow.accesses.begin());
  shadow.accesses.push_back(std::move(access));
  book.report(found);
}

TaskScope::TaskScope(const Position& position) : position_(position), outer_(task_scope) {
  task_scope = this;
}
TaskScope::~TaskScope() { task_scope = outer_; }

void set_label(std::string label) { thread_label = std::move(label); }
const std::string& label() { return thread_label; }

void set_reporter(void (*given)(const std::string&)) {
  reporter.store(given == nullptr ? &print : given);
}

std::vector<Race> races() {
  Book& book = Book::get();
  const std::lock_guard guard(book.mutex);
  return {book.races.begin(), book.races.end()};
}

std::int64_t race_count() {
  Book& book = Book::get();
  const std::lock_guard guard(book.mutex);
  return book.race_count;
}

void clear_races() {
  Book& book = Book::get();
  const std::lock_guard guard(book.mutex);
  book.races.clear();
  book.race_count = 0;
}

}  // namespace penstock::order::check
