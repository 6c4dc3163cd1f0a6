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

// True if something was new.
bool raise(Times& times, std::uint32_t actor, std::uint64_t time) {
  if (times.size() <= actor) times.resize(actor + 1);
  if (times[actor] >= time) return false;
  times[actor] = time;
  return true;
}

bool raise(Times& times, const Position& position) {
  bool is_new = raise(times, position.actor, position.time);
  for (std::uint32_t actor = 0; actor < position.behind->size(); ++actor) {
    is_new = raise(times, actor, (*position.behind)[actor]) || is_new;
  }
  return is_new;
}

}  // namespace

// All that the checker knows, under one lock.
struct Book {
  struct Known {
    std::string name;
    bool is_thread;
    std::unique_ptr<Actor> tasks;  // of a stream, once one does something
  };
  std::mutex mutex;
  std::vector<Known> actors;
  std::deque<Race> races;
  std::int64_t race_count = 0;

  static Book& get() {
    static auto* book = new Book;
    return *book;
  }

  void add(Actor& actor, std::string name, bool is_thread) {
    actor.index_ = static_cast<std::uint32_t>(actors.size());
    actors.push_back({std::move(name), is_thread, nullptr});
  }
  Actor& tasks_of(std::uint32_t stream) {
    if (!actors[stream].tasks) {
      auto tasks = std::unique_ptr<Actor>(new Actor);
      add(*tasks, actors[stream].name, false);
      actors[stream].tasks = std::move(tasks);
    }
    return *actors[stream].tasks;
  }
  static Position position(Actor& actor) {
    if (!actor.shared_) actor.shared_ = std::make_shared<const Times>(actor.behind_);
    return {actor.index_, actor.time_, actor.shared_, {}};
  }
  static Position tick(Actor& actor) {
    ++actor.time_;
    return position(actor);
  }
  static void join(Actor& actor, const Position& position) {
    if (position.is_set() && raise(actor.behind_, position)) actor.shared_.reset();
  }
  // The calling thread, or the tasks of the stream whose task it runs.
  static Actor& caller(Actor& thread) {
    return task_scope != nullptr ? *task_scope->tasks_ : thread;
  }
  static Moment task() { return task_scope != nullptr ? task_scope->task_ : Moment{}; }

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

// Remembers of an access what a wait for its tensor covers.
void add_to(Position& sum, const Position& position) {
  auto behind = sum.is_set() ? std::make_shared<Times>(*sum.behind) : std::make_shared<Times>();
  raise(*behind, position);
  if (sum.is_set()) raise(*behind, sum);
  sum = {position.actor, position.time, std::move(behind), {}};
}

// The newest access of each actor to the same bytes stands for its older ones; where there are none
// such the oldest of all goes.
void forget_some(Shadow& shadow) {
  std::vector<Access> kept;
  for (auto one = shadow.accesses.rbegin(); one != shadow.accesses.rend(); ++one) {
    const bool is_known = std::ranges::any_of(kept, [&](const Access& later) {
      return later.position.actor == one->position.actor && later.is_write == one->is_write &&
             later.range == one->range;
    });
    if (!is_known) kept.push_back(std::move(*one));
  }
  std::ranges::reverse(kept);
  if (kept.size() == kAccessesKept) {
    const Access& oldest = kept.front();
    if (oldest.is_write) add_to(shadow.forgotten_writes, oldest.position);
    add_to(shadow.forgotten, oldest.position);
    kept.erase(kept.begin());
  }
  shadow.accesses = std::move(kept);
}

}  // namespace

bool Position::reaches(const Moment& moment) const {
  if (moment.actor == actor) return moment.time <= time;
  if (moment.actor == task.actor && moment.time <= task.time) return true;
  return moment.actor < behind->size() && moment.time <= (*behind)[moment.actor];
}

bool Position::covers(const Position& other) const {
  return reaches({other.actor, other.time}) || (other.task.is_set() && reaches(other.task));
}

void Shadow::clear() {
  accesses.clear();
  forgotten_writes = {};
  forgotten = {};
}

Actor::Actor(std::string name, bool is_thread) {
  Book& book = Book::get();
  const std::lock_guard guard(book.mutex);
  book.add(*this, std::move(name), is_thread);
}

bool is_on() { return current_mode() != OrderCheck::off; }
void set_mode(OrderCheck value) { mode.store(static_cast<int>(value)); }

Position host_access() {
  Actor& thread = thread_actor();
  const std::lock_guard guard(Book::get().mutex);
  Position position = Book::tick(Book::caller(thread));
  position.task = Book::task();
  return position;
}

Position enqueue(Actor& stream) {
  Actor& thread = thread_actor();
  const std::lock_guard guard(Book::get().mutex);
  Book::join(stream, Book::position(Book::caller(thread)));
  return Book::tick(stream);
}

Position now(Actor& stream) {
  const std::lock_guard guard(Book::get().mutex);
  return Book::position(stream);
}

void wait(Actor& stream, const Position& position) {
  Actor& thread = thread_actor();
  const std::lock_guard guard(Book::get().mutex);
  Book::join(stream, Book::position(Book::caller(thread)));
  Book::join(stream, position);
}

void host_wait(const Position& position) {
  if (!position.is_set()) return;
  Actor& thread = thread_actor();
  const std::lock_guard guard(Book::get().mutex);
  // A task does not wait for what comes after it.
  if (task_scope != nullptr && position.reaches(Book::task())) return;
  Book::join(Book::caller(thread), position);
}

std::vector<Position> conflicts(const Shadow& shadow, bool is_write) {
  std::vector<Position> positions;
  const std::lock_guard guard(Book::get().mutex);
  for (const Access& access : shadow.accesses) {
    if (is_write || access.is_write) positions.push_back(access.position);
  }
  const Position& forgotten = is_write ? shadow.forgotten : shadow.forgotten_writes;
  if (forgotten.is_set()) positions.push_back(forgotten);
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
                book.actors[position.actor].name};
  std::vector<Race> found;
  for (const Access& earlier : shadow.accesses) {
    if (!earlier.is_write && !is_write) continue;
    if (book.actors[earlier.position.actor].is_thread && book.actors[position.actor].is_thread) {
      continue;
    }
    if (!overlaps(earlier.range, range)) continue;
    if (position.covers(earlier.position) || earlier.position.covers(position)) continue;
    found.push_back({earlier, access});
  }
  if (shadow.accesses.size() == kAccessesKept) forget_some(shadow);
  shadow.accesses.push_back(std::move(access));
  book.report(found);
}

TaskScope::TaskScope(const Position& position)
    : task_{position.actor, position.time}, outer_(task_scope) {
  Book& book = Book::get();
  const std::lock_guard guard(book.mutex);
  tasks_ = &book.tasks_of(position.actor);
  Book::join(*tasks_, {position.actor, position.time - 1, position.behind, {}});
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
