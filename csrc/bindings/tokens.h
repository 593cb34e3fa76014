// The fused op's CPU twin for Python: on NumPy arrays, and on addresses, as torch's op calls it.
#pragma once

#include <pybind11/pybind11.h>

namespace fer_fast {

void define_tokens(pybind11::module_& module);

}  // namespace fer_fast
