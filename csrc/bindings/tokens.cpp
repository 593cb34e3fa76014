#include "tokens.h"

#include <pthread.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "fail.h"
#include "token_call.h"

namespace py = pybind11;

namespace fer_fast {
namespace {

// ---- On NumPy arrays ----

using Vector = py::array_t<float, py::array::c_style | py::array::forcecast>;

// NumPy has no bfloat16: uint16 arrays hold its bits.
std::string dtype_of(const py::array& array, size_t index) {
  const py::dtype dtype = array.dtype();
  if (dtype.equal(py::dtype::of<float>())) return "float32";
  if (dtype.equal(py::dtype("float16"))) return "float16";
  if (dtype.equal(py::dtype::of<uint16_t>())) return "bfloat16";
  if (dtype.equal(py::dtype::of<uint8_t>())) return "uint8";
  fail<DTypeError>("sources[", index, "]: must be float32, float16, uint16 (bfloat16's bits) or uint8, got ",
                   std::string(py::str(static_cast<py::object>(dtype))));
}

Memory source_memory(const py::array& array, size_t index) {
  const std::string dtype = dtype_of(array, index);
  std::vector<int64_t> sizes, strides;
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
    if (array.strides(axis) % array.itemsize() != 0) fail("sources[", index, "]: strides must be whole elements");
    sizes.push_back(array.shape(axis));
    strides.push_back(array.strides(axis) / array.itemsize());
  }
  return {reinterpret_cast<uintptr_t>(array.data()), dtype, sizes, strides};
}

std::vector<Memory> statistics_memory(const std::vector<Vector>& arrays) {
  std::vector<Memory> memory;
  for (const Vector& array : arrays) {
    memory.push_back({reinterpret_cast<uintptr_t>(array.data()), "float32", {array.size()}, {1}});
  }
  return memory;
}

void check_out(const py::array& out, const py::dtype& element, const std::vector<py::ssize_t>& shape) {
  if (!out.dtype().equal(element)) fail<DTypeError>("out: must be ", std::string(py::str(py::object(element))));
  const bool fits = std::equal(shape.begin(), shape.end(), out.shape(), out.shape() + out.ndim());
  if (!fits || !(out.flags() & py::array::c_style) || !out.writeable()) {
    fail("out: must be writeable, contiguous [", shape[0], ", ", shape[1], ", ", shape[2], "]");
  }
}

py::array fused_tokens(const std::vector<py::array>& sources, const std::vector<Vector>& means,
                       const std::vector<Vector>& inv_stds, const std::vector<int64_t>& patches, int64_t grid,
                       const std::vector<bool>& reduce_mean, const std::string& out_dtype, int threads,
                       const std::optional<py::array>& given_out) {
  std::vector<Memory> memory;
  for (size_t s = 0; s < sources.size(); ++s) memory.push_back(source_memory(sources[s], s));
  const TokenCall call =
      check_call(memory, statistics_memory(means), statistics_memory(inv_stds), patches, grid, reduce_mean, out_dtype);
  const std::vector<py::ssize_t> shape(call.shape.begin(), call.shape.end());
  const py::dtype element(call.out_dtype == DType::kBFloat16 ? "uint16" : out_dtype);
  py::array out = given_out ? *given_out : py::array(element, shape);
  if (given_out) check_out(out, element, shape);
  void* data = out.mutable_data();
  const py::gil_scoped_release release;
  fused_tokens_cpu(call.sources.data(), call.source_count(), grid, data, call.out_dtype, threads);
  return out;
}

// ---- On addresses ----

// torch_parallel_for, of torch's stable C interface: runs the task over [begin, end) on torch's threads; 0 is success.
using TorchParallelFor = int32_t (*)(int64_t begin, int64_t end, int64_t grain, ParallelTask task, void* context);

// That of the call that this thread is in: ParallelFor has no room for it.
thread_local TorchParallelFor torch_parallel_for = nullptr;

// Torch's threads do not survive a fork, and waiting for them would never end.
std::atomic<bool> forked{false};
const int fork_watch = pthread_atfork(nullptr, nullptr, [] { forked = true; });

// Torch's own threads: others would fight with them for the cores while they spin after the last op.
void torch_threads(int64_t count, int64_t grain, int /*threads*/, ParallelTask task, void* context) {
  if (torch_parallel_for(0, count, grain, task, context) != 0) {
    throw std::runtime_error("fused_tokens: torch_parallel_for failed");
  }
}

void write_tokens(const TokenCall& call, uintptr_t out, int threads, uintptr_t parallel_for) {
  torch_parallel_for = reinterpret_cast<TorchParallelFor>(parallel_for);
  const bool by_torch = torch_parallel_for != nullptr && !forked;
  fused_tokens_cpu(call.sources.data(), call.source_count(), call.grid, reinterpret_cast<void*>(out), call.out_dtype,
                   threads, by_torch ? torch_threads : spawn_threads);
}

// ---- Instruction sets ----

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

void define_tokens(py::module_& module) {
  using namespace py::literals;
  module.def("fused_tokens", &fused_tokens, "sources"_a, "means"_a, "inv_stds"_a, "patches"_a, "grid"_a,
             "reduce_mean"_a, "out_dtype"_a = "float32", "threads"_a = 1, "out"_a = std::nullopt);
  define_token_call(module).def("write", &write_tokens, py::call_guard<py::gil_scoped_release>(), "out"_a, "threads"_a,
                                "parallel_for"_a = 0);
  module.def("cpu_level", [] { return std::string(cpu_level_name(cpu_level())); });
  module.def("cpu_levels", &supported_levels);
  module.def("set_cpu_level", [](const std::string& name) { set_cpu_level(level_named(name)); }, "level"_a);
}

}  // namespace fer_fast
