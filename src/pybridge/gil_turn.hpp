// Handing the GIL from one lane to another. CPython puts whoever asks for a held GIL to sleep, and
// wakes it when the holder gives it up or 5 ms have passed: a message for another lane waits for a
// wake-up by the kernel, if not for those 5 ms. So a lane that comes for the GIL while others work
// looks for a moment before it asks, and a lane between two activations gives the GIL to one that
// looks; to one that has asked and sleeps it gives it once in a millisecond. All of it is advice:
// who gets the GIL is CPython's to say.
// Thread-safe; one for the process, as the GIL is.
//
// Protocol. `active` counts the lanes that work, `lookers` those that look, `sleepers` those that
// looked in vain and ask, `offers` those that have given up the GIL for a looker. An offer is made
// after the GIL was given up, and whoever takes one off the count has it: a looker, which now works
// in the giver's place (`active` stays as it is); or the giver itself, when nobody came for a
// microsecond. A giver that finds its offer gone looks in turn, for as long as a wake-up takes. For
// a sleeper there is no offer: it counts as one that works already, and the giver comes back as
// from idleness. So each change of `active` is undone once, whoever takes which offer. Attacked by
// test_lanes.py "the GIL goes round".
#pragma once

#include "pybridge/gil.hpp"

#include <atomic>
#include <cstdint>

namespace penstock::pybridge {

class GilTurn {
 public:
  /// A lane works while one lives. With the GIL; it may be given up and taken meanwhile.
  class Work {
   public:
    Work() { active.fetch_add(1); }
    ~Work() { active.fetch_sub(1); }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
  };

  /// In a lane's work: it has none for now, and the GIL is given up while one lives.
  class Idle {
   public:
    Idle() : state_(PyEval_SaveThread()) { active.fetch_sub(1); }
    ~Idle() { come_back(state_); }
    Idle(const Idle&) = delete;
    Idle& operator=(const Idle&) = delete;

   private:
    PyThreadState* state_;
  };

  /// In a lane's work, with the GIL, where others may run Python: they do, if one looks.
  static void offer() {
    if (lookers.load(std::memory_order_relaxed) != 0 || expects_looker) {
      hand_on();
    } else if (sleepers.load(std::memory_order_relaxed) != 0) {
      wake_sleeper();
    }
  }
  /// One is about to look: this lane has given work to one that is awake.
  static void expect_looker() { expects_looker = true; }
  /// Lanes that work at this moment.
  [[nodiscard]] static unsigned working() {
    return static_cast<unsigned>(active.load(std::memory_order_relaxed));
  }

 private:
  static void come_back(PyThreadState* state);
  static void take(PyThreadState* state, std::int64_t look_ns);
  [[nodiscard]] static bool look(std::int64_t most_ns);
  static void hand_on();
  static void wake_sleeper();
  [[nodiscard]] static bool take_offer();

  static inline thread_local bool expects_looker = false;
  static inline std::int64_t taken_ns = 0;  // by a sleeper; with the GIL
  alignas(64) static inline std::atomic<int> active{0};
  static inline std::atomic<int> lookers{0};
  static inline std::atomic<int> sleepers{0};
  static inline std::atomic<int> offers{0};
};

}  // namespace penstock::pybridge
