// The errors of Penstock. Every message says where, what was expected, what was found, what to do.
// Each type also derives from the standard exception that C++ code would catch anyway; Python sees
// the classes of the same names, derived from ValueError, RuntimeError, MemoryError and so on.
#pragma once

#include <penstock/export.hpp>

#include <stdexcept>
#include <string>

namespace penstock {

/// Root of all errors of this library.
class PENSTOCK_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A tensor that can't be wrapped, viewed or exported as asked.
class PENSTOCK_API TensorError : public Error {
 public:
  using Error::Error;
};

/// DLPack's refusals: what the array API standard calls BufferError.
class PENSTOCK_API ExchangeError : public TensorError {
 public:
  using TensorError::TensorError;
};

/// An argument of a type that is not accepted.
class PENSTOCK_API ArgumentTypeError : public Error {
 public:
  using Error::Error;
};

/// A stream, an event or an order that can't be had; a race found by the checker.
class PENSTOCK_API StreamError : public Error {
 public:
  using Error::Error;
};

/// Memory that can't be had, with sizes and holders.
class PENSTOCK_API OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// A device that is not there, does not do what is asked, or was lost.
class PENSTOCK_API DeviceError : public Error {
 public:
  using Error::Error;
};

/// A graph that can't run as it is, or an operator that does not keep its word.
class PENSTOCK_API GraphError : public Error {
 public:
  using Error::Error;
};

/// A run in which nobody can go on, and who waits for whom.
class PENSTOCK_API DeadlockError : public Error {
 public:
  using Error::Error;
};

}  // namespace penstock
