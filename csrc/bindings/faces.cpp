#include "faces.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "cells.h"
#include "crops.h"
#include "fail.h"
#include "fer_fast/tokens.h"
#include "framing.h"

namespace py = pybind11;

namespace fer_fast {
namespace {

std::string shape_of(const py::array& array) { return py::str(array.attr("shape")); }

// The sizes are for the caller to check.
template <typename Element>
void check_array(const char* name, const py::array& array, py::ssize_t dimensions) {
  const py::dtype wanted = py::dtype::of<Element>();
  if (!array.dtype().equal(wanted)) {
    fail<DTypeError>(name, ": must be ", std::string(py::str(py::object(wanted))), ", got ",
                     std::string(py::str(static_cast<py::object>(array.dtype()))));
  }
  if (array.ndim() != dimensions) fail(name, ": must have ", dimensions, " dimensions, got ", array.ndim());
}

template <typename Element>
void check_whole(const char* name, const py::array& array, py::ssize_t dimensions) {
  check_array<Element>(name, array, dimensions);
  constexpr int kNeeded = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((array.flags() & kNeeded) != kNeeded) fail(name, ": must be C-contiguous and aligned");
}

void check_share(const char* name, double value) {
  if (!(value >= 0 && value <= 1)) fail(name, ": must be 0 to 1, got ", value);
}

void check_size(int64_t size) {
  if (size < 1 || size > kMaxCropSide) fail("size: must be 1 to ", kMaxCropSide, ", got ", size);
}

py::array_t<float> faces_of(const py::array& cells, int64_t height, int64_t width, double score, double overlap) {
  constexpr int64_t kStep = 32, kMostSide = 1 << 16;
  check_whole<float>("cells", cells, 2);
  for (const int64_t side : {height, width}) {
    if (side < kStep || side > kMostSide || side % kStep != 0) {
      fail("height and width: must be multiples of ", kStep, " from ", kStep, " to ", kMostSide, ", got ", height,
           " and ", width);
    }
  }
  const int64_t count = cell_count(height, width);
  if (cells.shape(0) != count || cells.shape(1) != kFaceColumns) {
    fail("cells: must be [", count, ", ", kFaceColumns, "] for ", height, " x ", width, ", got ", shape_of(cells));
  }
  check_share("score", score);
  check_share("overlap", overlap);
  std::vector<float> faces;
  {
    const auto* data = static_cast<const float*>(cells.data());
    const py::gil_scoped_release release;
    faces = faces_in(data, height, width, score, overlap);
  }
  const auto found = static_cast<py::ssize_t>(faces.size()) / kFaceColumns;
  py::array_t<float> out({found, static_cast<py::ssize_t>(kFaceColumns)});
  std::copy(faces.begin(), faces.end(), out.mutable_data());
  return out;
}

py::array_t<double> matrices_of(const py::array& faces, const std::string& framing, int64_t size) {
  constexpr py::ssize_t kNeeded = 14;  // box and landmarks
  check_whole<float>("faces", faces, 2);
  if (faces.shape(1) < kNeeded) fail("faces: must have ", kNeeded, " columns or more, got ", shape_of(faces));
  const auto known = framing_named(framing);
  if (!known) fail("framing: must be points, box or level, got ", framing);
  check_size(size);
  py::array_t<double> matrices({faces.shape(0), py::ssize_t{2}, py::ssize_t{3}});
  const auto* face = static_cast<const float*>(faces.data());
  for (py::ssize_t i = 0; i < faces.shape(0); ++i, face += faces.shape(1)) {
    if (!has_box(face)) {
      fail("faces[", i, "]: must have a box of finite numbers with width and height above 0, got ", face[0], ", ",
           face[1], ", ", face[2], ", ", face[3]);
    }
    crop_matrix(face, *known, size, matrices.mutable_data(i, 0, 0));
  }
  return matrices;
}

Picture picture_of(const py::array& image) {
  check_array<uint8_t>("image", image, 3);
  if (image.shape(0) < 1 || image.shape(1) < 1 || image.shape(2) != 3) {
    fail("image: must be [height, width, 3], neither side 0, got ", shape_of(image));
  }
  if (image.strides(2) != 1 || image.strides(1) != 3) fail("image: its rows must be contiguous");
  return {static_cast<const uint8_t*>(image.data()), image.shape(1), image.shape(0), image.strides(0), 3};
}

py::array crops_of(const py::array& image, const py::array& matrices, int64_t size,
                   const std::optional<py::array>& given_out) {
  const Picture picture = picture_of(image);
  check_whole<double>("matrices", matrices, 3);
  if (matrices.shape(1) != 2 || matrices.shape(2) != 3)
    fail("matrices: must be [crops, 2, 3], got ", shape_of(matrices));
  check_size(size);
  const py::ssize_t count = matrices.shape(0);
  // A copy is checked and used: other threads, or `out`, may write to theirs.
  const auto* given = static_cast<const double*>(matrices.data());
  const std::vector<double> copied(given, given + 6 * count);
  const double* matrix = copied.data();
  for (py::ssize_t i = 0; i < count; ++i) {
    if (!crop_fits(matrix + 6 * i, size)) {
      constexpr auto kReach = static_cast<int64_t>(kMaxCropReach);
      fail("matrices[", i, "]: must be finite and keep the crop within ", kReach, " pixels");
    }
  }
  const std::vector<py::ssize_t> shape = {count, size, size, 3};
  py::array out = given_out ? *given_out : py::array(py::dtype::of<uint8_t>(), shape);
  check_whole<uint8_t>("out", out, 4);
  if (!std::equal(shape.begin(), shape.end(), out.shape()) || !out.writeable()) {
    fail("out: must be writeable [", count, ", ", size, ", ", size, ", 3], got ", shape_of(out));
  }
  auto* crop = static_cast<uint8_t*>(out.mutable_data());
  const py::gil_scoped_release release;
  Cropper cropper;
  for (py::ssize_t i = 0; i < count; ++i) cropper.cut(picture, matrix + 6 * i, size, crop + i * size * size * 3);
  return out;
}

}  // namespace

void define_faces(py::module_& module) {
  using namespace py::literals;
  module.def("faces_in", &faces_of, "cells"_a, "height"_a, "width"_a, "score"_a, "overlap"_a = kFaceOverlap);
  module.def("crop_matrices", &matrices_of, "faces"_a, "framing"_a, "size"_a);
  module.def("crop_faces", &crops_of, "image"_a, "matrices"_a, "size"_a, "out"_a = std::nullopt);
}

}  // namespace fer_fast
