#include "device_tokens.h"

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "cuda_driver.h"
#include "cuda_program.h"
#include "device_arrays.h"
#include "image_call.h"
#include "token_call.h"

namespace py = pybind11;

namespace fer_fast {
namespace {

void launch(const CudaCode& code, const TokenCall& call, void* out, uintptr_t stream) {
  code.fused_tokens(call.sources.data(), call.source_count(), call.grid, out, call.out_dtype,
                    reinterpret_cast<void*>(stream));
}

void fused_tokens_on_card(const CudaCode& code, const py::sequence& sources, const py::sequence& means,
                          const py::sequence& inv_stds, const std::vector<int64_t>& patches, int64_t grid,
                          const std::vector<bool>& reduce_mean, const py::object& out, uintptr_t stream) {
  const DeviceCall device =
      check_device_call(sources, means, inv_stds, patches, grid, reduce_mean, out, stream, code.device());
  const py::gil_scoped_release release;
  launch(code, device.call, device.out, stream);
}

void write_on_card(const CudaCode& code, const TokenCall& call, uintptr_t out, uintptr_t stream) {
  launch(code, call, reinterpret_cast<void*>(out), stream);
}

void write_image_on_card(const CudaCode& code, const ImageView& image, uintptr_t stream) {
  code.normalised_image(image, reinterpret_cast<void*>(stream));
}

}  // namespace

void define_device_tokens(py::module_& module) {
  using namespace py::literals;
  const py::call_guard<py::gil_scoped_release> unlocked;
  module.def("cuda_program", &cuda_program);
  module.def("cuda_headers", &cuda_headers);
  define_image_call(module);
  py::class_<CudaCode>(module, "CudaCode")
      .def(py::init<const std::string&, int>(), "cubin"_a, "device"_a, unlocked)
      .def("write", &write_on_card, "call"_a, "out"_a, "stream"_a, unlocked)
      .def("write_image", &write_image_on_card, "image"_a, "stream"_a, unlocked);
  module.def("fused_tokens_cuda", &fused_tokens_on_card, "code"_a, "sources"_a, "means"_a, "inv_stds"_a, "patches"_a,
             "grid"_a, "reduce_mean"_a, "out"_a, "stream"_a = 0);
}

}  // namespace fer_fast
