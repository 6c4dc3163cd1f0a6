// What the tests of the race checker share: streams and tensors that it watches, and accesses that
// wait for nothing.
#pragma once

#include "order/check.hpp"
#include "tensor/work.hpp"
#include "tensor_fixture.hpp"

#include <source_location>
#include <string>
#include <vector>

namespace penstock::check_test {

using namespace penstock::test;
using namespace penstock::memory::test;
namespace check = penstock::order::check;

// Texts in place of stderr. Under the checker's lock.
inline std::vector<std::string> texts;

// Reports are kept, not raised; streams are made inside, so that the checker knows them.
struct Reports : Checker {
  Reports() {
    texts.clear();
    check::set_mode(OrderCheck::report);
    check::set_reporter([](const std::string& text) { texts.push_back(text); });
  }
  ~Reports() {
    check::set_reporter(nullptr);
    check::set_label("");
  }
};

inline constexpr bool kRead = false;
inline constexpr bool kWrite = true;

// An access on the stream that waits for nothing.
inline void touch(const Tensor& tensor, const Stream& stream, bool is_write,
                  const std::source_location& place = std::source_location::current()) {
  uses(tensor, stream, is_write, false, place);
}
// The same by the calling thread, or by the task that it runs.
inline void touch_here(const Tensor& tensor, bool is_write) {
  check::access(*tensor.impl().block->shadow(), check::host_access(), tensor.impl().range(),
                is_write, tag("touch_here"));
}

// Runs the body as a task and waits until it is over, in a way that the checker does not see.
template <class Body>
void run_unseen(const Stream& stream, Body body) {
  std::atomic<bool> over{false};
  stream.launch([&] {
    body();
    over = true;
  });
  REQUIRE(eventually([&] { return over.load(); }));
}

struct Scene {
  Reports reports;
  Stream a = new_stream(), b = new_stream(), c = new_stream();
  Tensor x = Tensor::empty({8, 16}, u8), y = Tensor::empty({8, 16}, u8);
};

inline std::int64_t count() { return check::race_count(); }

}  // namespace penstock::check_test
