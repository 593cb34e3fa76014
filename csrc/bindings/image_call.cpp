#include "image_call.h"

#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <string>

#include "token_call.h"

namespace py = pybind11;

namespace fer_fast {
namespace {

// Of tensors that the caller has checked: addresses on a card, and the images' [batch, height, width].
ImageView image_view(uintptr_t pixels, const std::array<int64_t, 3>& sizes, uintptr_t mean, uintptr_t inv_std,
                     uintptr_t out, const std::string& out_dtype, int64_t channels, bool planes) {
  ImageView view;
  view.pixels = reinterpret_cast<const uint8_t*>(pixels);
  view.batch = sizes[0];
  view.height = sizes[1];
  view.width = sizes[2];
  view.mean = reinterpret_cast<const float*>(mean);
  view.inv_std = reinterpret_cast<const float*>(inv_std);
  view.out = reinterpret_cast<void*>(out);
  view.out_dtype = out_dtype_named(out_dtype);
  view.channels = channels;
  view.planes = planes;
  return view;
}

}  // namespace

py::class_<ImageView> define_image_call(py::module_& module) {
  using namespace py::literals;
  py::class_<ImageView> defined(module, "ImageCall", py::module_local());  // as TokenCall
  defined.def(py::init(&image_view), "pixels"_a, "sizes"_a, "mean"_a, "inv_std"_a, "out"_a, "out_dtype"_a, "channels"_a,
              "planes"_a);
  return defined;
}

}  // namespace fer_fast
