// The parts of a sentence come in, an exception that says it goes out.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <sstream>
#include <stdexcept>

#include "fer_fast/tokens.h"

namespace fer_fast {

template <typename Error = std::invalid_argument, typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

// For a module: DTypeError becomes a TypeError; pybind11 itself makes ValueError of std::invalid_argument.
inline void translate_errors() {
  pybind11::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const DTypeError& dtype_error) {
      pybind11::set_error(PyExc_TypeError, dtype_error.what());
    }
  });
}

}  // namespace fer_fast
