// The module fer_fast._C: the CPU twin on NumPy arrays, faces, what this build contains, a watchdog. No torch.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "fail.h"
#include "faces.h"
#include "fer_fast/tokens.h"
#include "watchdog.h"

namespace py = pybind11;

namespace fer_fast {
namespace {

using Statistic = py::array_t<float, py::array::c_style | py::array::forcecast>;

// NumPy has no bfloat16: uint16 arrays hold its bits.
DType dtype_of(const py::array& array, size_t index) {
  const py::dtype dtype = array.dtype();
  if (dtype.is(py::dtype::of<float>())) return DType::kFloat32;
  if (dtype.is(py::dtype("float16"))) return DType::kFloat16;
  if (dtype.is(py::dtype::of<uint16_t>())) return DType::kBFloat16;
  if (dtype.is(py::dtype::of<uint8_t>())) return DType::kUInt8;
  fail<DTypeError>("sources[", index, "]: must be float32, float16, uint16 (bfloat16's bits) or uint8, got ",
                   std::string(py::str(static_cast<py::object>(dtype))));
}

DType dtype_named(const std::string& name) {
  if (name == "float32") return DType::kFloat32;
  if (name == "float16") return DType::kFloat16;
  if (name == "bfloat16") return DType::kBFloat16;
  fail<DTypeError>("out_dtype: must be float32, float16 or bfloat16, got ", name);
}

SourceView source_view(const py::array& array, size_t index) {
  SourceView view;
  view.dtype = dtype_of(array, index);
  if (array.ndim() != 4) fail("sources[", index, "]: must have 4 dimensions, got ", array.ndim());
  const bool image = view.dtype == DType::kUInt8;  // the decoder's own order, channels last
  const int c = image ? 3 : 1, h = image ? 1 : 2, w = image ? 2 : 3;
  const auto stride = [&](int axis) -> int64_t {
    if (array.strides(axis) % array.itemsize() != 0) fail("sources[", index, "]: strides must be whole elements");
    return array.strides(axis) / array.itemsize();
  };
  view.data = array.data();
  view.batch = array.shape(0);
  view.channels = array.shape(c);
  view.height = array.shape(h);
  view.width = array.shape(w);
  view.batch_stride = stride(0);
  view.channel_stride = stride(c);
  view.height_stride = stride(h);
  view.width_stride = stride(w);
  return view;
}

void check_length(const char* name, size_t length, size_t sources) {
  if (length != sources) fail(name, ": must have one element a source, ", sources, ", got ", length);
}

void check_out(const py::array& out, const py::dtype& element, const std::vector<py::ssize_t>& shape) {
  if (!out.dtype().is(element)) fail<DTypeError>("out: must be ", std::string(py::str(py::object(element))));
  const bool fits = std::equal(shape.begin(), shape.end(), out.shape(), out.shape() + out.ndim());
  if (!fits || !(out.flags() & py::array::c_style) || !out.writeable()) {
    fail("out: must be writeable, contiguous [", shape[0], ", ", shape[1], ", ", shape[2], "]");
  }
}

py::array fused_tokens(const std::vector<py::array>& sources, const std::vector<Statistic>& means,
                       const std::vector<Statistic>& inv_stds, const std::vector<int64_t>& patches, int64_t grid,
                       const std::vector<bool>& reduce_mean, const std::string& out_dtype, int threads,
                       const std::optional<py::array>& given_out) {
  check_length("means", means.size(), sources.size());
  check_length("inv_stds", inv_stds.size(), sources.size());
  check_length("patches", patches.size(), sources.size());
  check_length("reduce_mean", reduce_mean.size(), sources.size());
  std::vector<SourceView> views;
  for (size_t s = 0; s < sources.size(); ++s) {
    SourceView view = source_view(sources[s], s);
    view.mean = means[s].data();
    view.inv_std = inv_stds[s].data();
    view.mean_size = means[s].size();
    view.inv_std_size = inv_stds[s].size();
    view.patch = patches[s];
    view.reduce_mean = reduce_mean[s];
    views.push_back(view);
  }
  const DType dtype = dtype_named(out_dtype);
  const auto count = static_cast<int64_t>(views.size());
  check_tokens(views.data(), count, grid, dtype);
  const std::vector<py::ssize_t> shape = {views[0].batch, grid * grid, token_width(views.data(), count)};
  const py::dtype element(dtype == DType::kBFloat16 ? "uint16" : out_dtype);
  py::array out = given_out ? *given_out : py::array(element, shape);
  if (given_out) check_out(out, element, shape);
  void* data = out.mutable_data();
  const py::gil_scoped_release release;
  fused_tokens_cpu(views.data(), count, grid, data, dtype, threads);
  return out;
}

CpuLevel level_named(const std::string& name) {
  for (const CpuLevel level : {CpuLevel::kBaseline, CpuLevel::kAvx2, CpuLevel::kAvx512}) {
    if (name == cpu_level_name(level)) return level;
  }
  fail("level: must be baseline, avx2 or avx512, got ", name);
}

std::vector<std::string> supported_levels() {
  std::vector<std::string> names;
  for (const CpuLevel level : {CpuLevel::kBaseline, CpuLevel::kAvx2, CpuLevel::kAvx512}) {
    if (cpu_level_supported(level)) names.emplace_back(cpu_level_name(level));
  }
  return names;
}

}  // namespace
}  // namespace fer_fast

PYBIND11_MODULE(_C, module) {
  using namespace py::literals;
  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const fer_fast::DTypeError& dtype_error) {
      py::set_error(PyExc_TypeError, dtype_error.what());
    }
  });
  module.attr("__version__") = FER_FAST_VERSION;
  module.attr("cuda_architectures") = FER_FAST_CUDA_ARCHITECTURES;
  module.def("fused_tokens", &fer_fast::fused_tokens, "sources"_a, "means"_a, "inv_stds"_a, "patches"_a, "grid"_a,
             "reduce_mean"_a, "out_dtype"_a = "float32", "threads"_a = 1, "out"_a = std::nullopt);
  module.def("cpu_level", [] { return std::string(fer_fast::cpu_level_name(fer_fast::cpu_level())); });
  module.def("cpu_levels", &fer_fast::supported_levels);
  module.def(
      "set_cpu_level", [](const std::string& name) { fer_fast::set_cpu_level(fer_fast::level_named(name)); },
      "level"_a);
  fer_fast::define_faces(module);
  const py::call_guard<py::gil_scoped_release> unlocked;  // its thread may be telling what Python's threads do
  py::class_<fer_fast::Watchdog>(module, "Watchdog")
      .def(py::init<double, int>(), "seconds"_a, "signal"_a)
      .def("beat", &fer_fast::Watchdog::beat)
      .def("stop", &fer_fast::Watchdog::stop, unlocked);
}
