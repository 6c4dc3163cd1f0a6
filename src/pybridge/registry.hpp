// What the C++ side needs of the Python side: classes and functions, handed over once when the
// package is imported, and looked up by field from then on. With the GIL.
#pragma once

#include <Python.h>

namespace penstock::pybridge {

struct Registry {
  PyObject* device = nullptr;        // Device(str)
  PyObject* stream = nullptr;        // Stream from (value, impl)
  PyObject* dtype = nullptr;         // dtype object from a name
  PyObject* dtype_name = nullptr;    // name from anything that says a dtype
  PyObject* start_thread = nullptr;  // starts a daemon thread: "lane" or "retire"
  PyObject* errors = nullptr;        // dict: name -> class
  PyObject* image = nullptr;         // Image
  PyObject* image_batch = nullptr;   // an ImageBatch of a list or tuple, or None
  PyObject* origin = nullptr;        // Origin(source, number, sub)
  PyObject* fatal = nullptr;         // tuple of the exceptions that no on_error passes over
  unsigned long main_thread = 0;     // identity of the thread that handles signals
};

[[nodiscard]] Registry& registry();

}  // namespace penstock::pybridge
