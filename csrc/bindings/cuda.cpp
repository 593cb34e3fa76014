// The module fer_fast._cuda: the kernels that nvcc built, on addresses. To import it takes neither a card nor a driver.
#include <cuda_runtime_api.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <vector>

#include "device_arrays.h"
#include "fail.h"
#include "fer_fast/tokens_cuda.h"
#include "image_call.h"
#include "image_cuda.h"
#include "token_call.h"

namespace py = pybind11;

namespace fer_fast {
namespace {

// Launches on a stream of the current device, without a wait and without memory of its own: CUDA graphs may capture it.
void write(const TokenCall& call, void* out, uintptr_t stream) {
  fused_tokens_cuda(call.sources.data(), call.source_count(), call.grid, out, call.out_dtype,
                    reinterpret_cast<void*>(stream));
}

void write_tokens(const TokenCall& call, uintptr_t out, uintptr_t stream) {
  write(call, reinterpret_cast<void*>(out), stream);
}

void write_image(const ImageView& image, uintptr_t stream) {
  normalised_image_cuda(image, reinterpret_cast<void*>(stream));
}

// A card is current for as long as this lives. What fails here, the launch tells. The card that was current is made so
// again only where it was another: to name a card makes a context on it.
struct Current {
  explicit Current(int device) {
    cudaGetDevice(&before);
    changed = device >= 0 && device != before && cudaSetDevice(device) == cudaSuccess;
  }
  ~Current() {
    if (changed) cudaSetDevice(before);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

  int before = 0;
  bool changed = false;
};

void fused_tokens(const py::sequence& sources, const py::sequence& means, const py::sequence& inv_stds,
                  const std::vector<int64_t>& patches, int64_t grid, const std::vector<bool>& reduce_mean,
                  const py::object& out, uintptr_t stream) {
  const DeviceCall device = check_device_call(sources, means, inv_stds, patches, grid, reduce_mean, out, stream);
  const py::gil_scoped_release release;
  const Current current(device.arrays.device());
  write(device.call, device.out, stream);
}

}  // namespace
}  // namespace fer_fast

PYBIND11_MODULE(_cuda, module) {
  using namespace py::literals;
  fer_fast::translate_errors();
  fer_fast::define_token_call(module).def("write", &fer_fast::write_tokens, py::call_guard<py::gil_scoped_release>(),
                                          "out"_a, "stream"_a);
  fer_fast::define_image_call(module).def("write", &fer_fast::write_image, py::call_guard<py::gil_scoped_release>(),
                                          "stream"_a);
  module.def("fused_tokens_cuda", &fer_fast::fused_tokens, "sources"_a, "means"_a, "inv_stds"_a, "patches"_a, "grid"_a,
             "reduce_mean"_a, "out"_a, "stream"_a = 0);
}
