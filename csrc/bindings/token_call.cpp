#include "token_call.h"

#include <pybind11/stl.h>

#include <optional>

#include "fail.h"

namespace py = pybind11;

namespace fer_fast {
namespace {

std::optional<DType> dtype_named(const std::string& name) {
  if (name == "float32") return DType::kFloat32;
  if (name == "float16") return DType::kFloat16;
  if (name == "bfloat16") return DType::kBFloat16;
  if (name == "uint8") return DType::kUInt8;
  return std::nullopt;
}

void check_length(const char* name, size_t length, size_t sources) {
  if (length != sources) fail(name, ": must have one element a source, ", sources, ", got ", length);
}

SourceView source_view(const Memory& memory, size_t index) {
  const auto& [address, dtype, sizes, strides] = memory;
  const std::optional<DType> known = dtype_named(dtype);
  if (!known) {
    fail<DTypeError>("sources[", index, "]: must be float32, float16, bfloat16 or uint8, got ", dtype);
  }
  const bool image = *known == DType::kUInt8;  // the decoder's own order, channels last
  if (sizes.size() != 4) {
    fail("sources[", index, "]: must have 4 dimensions, ",
         image ? "[batch, height, width, 3]" : "[batch, channels, height, width]", ", got ", sizes.size());
  }
  if (strides.size() != 4) fail("sources[", index, "]: must have a stride a dimension, 4, got ", strides.size());
  const size_t c = image ? 3 : 1, h = image ? 1 : 2, w = image ? 2 : 3;
  SourceView view;
  view.data = reinterpret_cast<const void*>(address);
  view.dtype = *known;
  view.batch = sizes[0];
  view.channels = sizes[c];
  view.height = sizes[h];
  view.width = sizes[w];
  view.batch_stride = strides[0];
  view.channel_stride = strides[c];
  view.height_stride = strides[h];
  view.width_stride = strides[w];
  return view;
}

struct Statistic {
  const float* data;
  int64_t size;
};

Statistic statistic(const Memory& memory, const char* name, size_t index) {
  const auto& [address, dtype, sizes, strides] = memory;
  if (dtype != "float32") fail<DTypeError>(name, "[", index, "]: must be float32, got ", dtype);
  if (sizes.size() != 1 || strides.size() != 1) {
    fail(name, "[", index, "]: must have 1 dimension, got ", sizes.size());
  }
  if (sizes[0] > 1 && strides[0] != 1) fail(name, "[", index, "]: must be contiguous, got a stride of ", strides[0]);
  return {reinterpret_cast<const float*>(address), sizes[0]};
}

}  // namespace

DType out_dtype_named(const std::string& name) {
  const std::optional<DType> dtype = dtype_named(name);
  if (!dtype) fail<DTypeError>("out_dtype: must be float32, float16 or bfloat16, got ", name);
  return *dtype;
}

TokenCall check_call(const std::vector<Memory>& sources, const std::vector<Memory>& means,
                     const std::vector<Memory>& inv_stds, const std::vector<int64_t>& patches, int64_t grid,
                     const std::vector<bool>& reduce_mean, const std::string& out_dtype) {
  check_length("means", means.size(), sources.size());
  check_length("inv_stds", inv_stds.size(), sources.size());
  check_length("patches", patches.size(), sources.size());
  check_length("reduce_mean", reduce_mean.size(), sources.size());
  TokenCall call;
  for (size_t s = 0; s < sources.size(); ++s) {
    const Statistic mean = statistic(means[s], "means", s), inv_std = statistic(inv_stds[s], "inv_stds", s);
    SourceView view = source_view(sources[s], s);
    view.mean = mean.data;
    view.inv_std = inv_std.data;
    view.mean_size = mean.size;
    view.inv_std_size = inv_std.size;
    view.patch = patches[s];
    view.reduce_mean = reduce_mean[s];
    call.sources.push_back(view);
  }
  call.grid = grid;
  call.out_dtype = out_dtype_named(out_dtype);
  check_tokens(call.sources.data(), call.source_count(), grid, call.out_dtype);
  call.shape = {call.sources[0].batch, grid * grid, token_width(call.sources.data(), call.source_count())};
  return call;
}

py::class_<TokenCall> define_token_call(py::module_& module) {
  using namespace py::literals;
  // Local: fer_fast._C and fer_fast._cuda have a class each.
  py::class_<TokenCall> defined(module, "TokenCall", py::module_local());
  defined
      .def(py::init(&check_call), "sources"_a, "means"_a, "inv_stds"_a, "patches"_a, "grid"_a, "reduce_mean"_a,
           "out_dtype"_a)
      .def_property_readonly("shape", [](const TokenCall& call) { return py::cast(call.shape); });
  return defined;
}

}  // namespace fer_fast
