#include "pybridge/failure.hpp"

#include "pybridge/registry.hpp"

#include <string>

namespace penstock::pybridge {
namespace {

std::string text_of(PyObject* exception) {
  const nb::object text = nb::steal(PyObject_Str(exception));
  if (!text.is_valid()) PyErr_Clear();
  const char* characters = text.is_valid() ? PyUnicode_AsUTF8AndSize(text.ptr(), nullptr) : nullptr;
  return characters == nullptr ? "an exception in Python" : characters;
}

void set(const char* name, const char* message) {
  PyObject* type =
      registry().errors == nullptr ? nullptr : PyDict_GetItemString(registry().errors, name);
  PyErr_SetString(type == nullptr ? PyExc_RuntimeError : type, message);
}

}  // namespace

PythonFailure::PythonFailure(PyRef exception)
    : Error(text_of(exception.get())), exception_(std::make_shared<PyRef>(std::move(exception))) {}

PyRef take_python_error() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (value != nullptr && traceback != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return PyRef::steal(value);
}

bool PythonFailure::is_fatal() const {
  if (PyErr_GivenExceptionMatches(exception(), registry().fatal) != 0) return true;
  if (PyErr_GivenExceptionMatches(exception(), PyExc_Exception) == 0) return true;  // SystemExit
  // Those of PyTorch and CuPy have no class in common with ours.
  for (nb::handle base : nb::borrow<nb::tuple>(nb::handle(exception()).type().attr("__mro__"))) {
    const auto name = nb::cast<std::string>(base.attr("__name__"));
    if (name == "OutOfMemoryError" || name == "AcceleratorError") return true;
  }
  return false;
}

nb::object exception_object(const std::exception_ptr& error) {
  set_python_error(error);
  PyRef exception = take_python_error();
  return nb::steal(exception.leak());
}

void set_python_error(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const PythonFailure& failure) {
    PyObject* exception = failure.exception();
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception);
  } catch (nb::python_error& python) {
    python.restore();
  } catch (const ExchangeError& ours) {
    set("ExchangeError", ours.what());
  } catch (const TensorError& ours) {
    set("TensorError", ours.what());
  } catch (const ArgumentTypeError& ours) {
    set("ArgumentTypeError", ours.what());
  } catch (const StreamError& ours) {
    set("StreamError", ours.what());
  } catch (const OutOfMemory& ours) {
    set("OutOfMemory", ours.what());
  } catch (const DeviceError& ours) {
    set("DeviceError", ours.what());
  } catch (const GraphError& ours) {
    set("GraphError", ours.what());
  } catch (const DeadlockError& ours) {
    set("DeadlockError", ours.what());
  } catch (const Error& ours) {
    set("Error", ours.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& other) {
    PyErr_SetString(PyExc_RuntimeError, other.what());
  }
}

void register_failures() {
  nb::register_exception_translator([](const std::exception_ptr& error, void*) {
    try {
      std::rethrow_exception(error);
    } catch (const Error&) {
      set_python_error(error);
    }
  });
}

}  // namespace penstock::pybridge
