// Around the calls of an operator's body. With the GIL.
#pragma once

#include "pybridge/failure.hpp"
#include "pybridge/python_body.hpp"

#include <utility>

namespace penstock::pybridge {

/// Calls into Python: exceptions leave as PythonFailure.
template <class Call>
auto in_python(Call&& call) -> decltype(call()) {
  const RetireLater scope;
  try {
    return call_or_stay(std::forward<Call>(call));
  } catch (nb::python_error& error) {
    error.restore();
    throw PythonFailure(take_python_error());
  }
}

/// The body is the thread's current one, and the lane's watch knows that it runs.
class BodyScope {
 public:
  explicit BodyScope(PythonBody& body);
  ~BodyScope();
  BodyScope(const BodyScope&) = delete;
  BodyScope& operator=(const BodyScope&) = delete;

 private:
  PythonBody* outer_;
};

}  // namespace penstock::pybridge
