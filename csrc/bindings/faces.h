// A module comes in, with faces_in, crop_matrices and crop_faces on NumPy arrays it goes out.
#pragma once

#include <pybind11/pybind11.h>

namespace fer_fast {

void define_faces(pybind11::module_& module);

}  // namespace fer_fast
