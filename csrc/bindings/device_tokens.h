// The fused op on a card, of the module fer_fast._C: the kernel as NVRTC compiled it, and arrays of any library's.
#pragma once

#include <pybind11/pybind11.h>

namespace fer_fast {

void define_device_tokens(pybind11::module_& module);

}  // namespace fer_fast
