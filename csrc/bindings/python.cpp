// The module fer_fast._C: the fused op's CPU twin, its CUDA twin as NVRTC compiles it, faces, what this build contains,
// a watchdog.
#include <pybind11/pybind11.h>

#include "device_tokens.h"
#include "faces.h"
#include "fail.h"
#include "tokens.h"
#include "watchdog.h"

namespace py = pybind11;

PYBIND11_MODULE(_C, module) {
  using namespace py::literals;
  fer_fast::translate_errors();
  module.attr("__version__") = FER_FAST_VERSION;
  module.attr("cuda_architectures") = FER_FAST_CUDA_ARCHITECTURES;
  fer_fast::define_tokens(module);
  fer_fast::define_device_tokens(module);
  fer_fast::define_faces(module);
  const py::call_guard<py::gil_scoped_release> unlocked;  // its thread may be telling what Python's threads do
  py::class_<fer_fast::Watchdog>(module, "Watchdog")
      .def(py::init<double, int>(), "seconds"_a, "signal"_a)
      .def("beat", &fer_fast::Watchdog::beat)
      .def("stop", &fer_fast::Watchdog::stop, unlocked);
}
