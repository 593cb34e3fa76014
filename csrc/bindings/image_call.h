// A call of the image kernel as Python describes it comes in, a view goes out: class ImageCall of both modules.
#pragma once

#include <pybind11/pybind11.h>

#include "cuda_image.h"

namespace fer_fast {

// What writes it is the module's own.
pybind11::class_<ImageView> define_image_call(pybind11::module_& module);

}  // namespace fer_fast
