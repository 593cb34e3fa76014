// Torch's tensors come in, the core's views go out: what torch_cpu.cpp and torch_cuda.cpp share. Stable ABI only.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fer_fast/tokens.h"

namespace fer_fast {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// The arguments of one call, checked; the tensors stay the caller's.
struct TorchArguments {
  std::vector<SourceView> sources;
  int64_t grid;
  DType out_dtype;
  std::vector<int64_t> out_sizes;  // [batch, grid * grid, K]
};

template <typename Error, typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

inline bool convert_dtype(ScalarType type, DType* out) {
  switch (type) {
    case ScalarType::Float:
      *out = DType::kFloat32;
      return true;
    case ScalarType::Half:
      *out = DType::kFloat16;
      return true;
    case ScalarType::BFloat16:
      *out = DType::kBFloat16;
      return true;
    case ScalarType::Byte:
      *out = DType::kUInt8;
      return true;
    default:
      return false;
  }
}

inline void check_device(const Tensor& tensor, const Tensor& first, const char* name, int64_t index) {
  if (tensor.is_cuda() != first.is_cuda() || tensor.get_device_index() != first.get_device_index()) {
    fail<std::invalid_argument>(name, "[", index, "]: must be on the device of sources[0]");
  }
}

inline const float* statistic(const Tensor& tensor, const Tensor& first, const char* name, int64_t index) {
  check_device(tensor, first, name, index);
  if (tensor.scalar_type() != ScalarType::Float) fail<DTypeError>(name, "[", index, "]: must be float32");
  if (tensor.dim() != 1 || !tensor.is_contiguous()) {
    fail<std::invalid_argument>(name, "[", index, "]: must be contiguous with 1 dimension, got ", tensor.dim(),
                                " dimensions");
  }
  return static_cast<const float*>(tensor.const_data_ptr());
}

inline SourceView source_view(const Tensor& tensor, const Tensor& first, int64_t index) {
  check_device(tensor, first, "sources", index);
  SourceView view;
  if (!convert_dtype(tensor.scalar_type(), &view.dtype)) {
    fail<DTypeError>("sources[", index, "]: must be float32, float16, bfloat16 or uint8, got torch's dtype number ",
                     static_cast<int>(tensor.scalar_type()));
  }
  if (tensor.dim() != 4) {
    fail<std::invalid_argument>(
        "sources[", index, "]: must have 4 dimensions, ",
        view.dtype == DType::kUInt8 ? "[batch, height, width, 3]" : "[batch, channels, height, width]", ", got ",
        tensor.dim());
  }
  const auto sizes = tensor.sizes();
  const auto strides = tensor.strides();
  const bool image = view.dtype == DType::kUInt8;  // the decoder's own order, channels last
  const int64_t c = image ? 3 : 1, h = image ? 1 : 2, w = image ? 2 : 3;
  view.data = tensor.const_data_ptr();
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

inline void check_length(const char* name, size_t length, size_t sources) {
  if (length != sources)
    fail<std::invalid_argument>(name, ": must have one element a source, ", sources, ", got ", length);
}

inline TorchArguments check_arguments(const std::vector<Tensor>& sources, const std::vector<Tensor>& means,
                                      const std::vector<Tensor>& inv_stds, const std::vector<int64_t>& patches,
                                      int64_t grid, const std::vector<bool>& reduce_mean, ScalarType out_dtype) {
  check_length("means", means.size(), sources.size());
  check_length("inv_stds", inv_stds.size(), sources.size());
  check_length("patches", patches.size(), sources.size());
  check_length("reduce_mean", reduce_mean.size(), sources.size());
  TorchArguments arguments;
  for (size_t s = 0; s < sources.size(); ++s) {
    const auto index = static_cast<int64_t>(s);
    SourceView view = source_view(sources[s], sources[0], index);
    view.mean = statistic(means[s], sources[0], "means", index);
    view.inv_std = statistic(inv_stds[s], sources[0], "inv_stds", index);
    view.mean_size = means[s].numel();
    view.inv_std_size = inv_stds[s].numel();
    view.patch = patches[s];
    view.reduce_mean = reduce_mean[s];
    arguments.sources.push_back(view);
  }
  arguments.grid = grid;
  if (!convert_dtype(out_dtype, &arguments.out_dtype)) {
    fail<DTypeError>("out_dtype: must be float32, float16 or bfloat16, got torch's dtype number ",
                     static_cast<int>(out_dtype));
  }
  const auto count = static_cast<int64_t>(sources.size());
  check_tokens(arguments.sources.data(), count, grid, arguments.out_dtype);
  arguments.out_sizes = {arguments.sources[0].batch, grid * grid, token_width(arguments.sources.data(), count)};
  return arguments;
}

// The stable ABI has no ValueError of its own: whatever leaves an op becomes RuntimeError. The first word says which
// error was meant, and fer_fast.tokens raises that.
template <typename Body>
Tensor with_named_errors(const Body& body) {
  try {
    return body();
  } catch (const DTypeError& error) {
    throw std::runtime_error(std::string("TypeError: ") + error.what());
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(std::string("ValueError: ") + error.what());
  }
}

}  // namespace
}  // namespace fer_fast
