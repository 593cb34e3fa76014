// Which instance of the kernel a planned source asks for: a plan comes in, launch(kernel) is called with it.
#pragma once

#include "tokens_kernel.h"

namespace fer_fast {
namespace {

template <typename In, typename Out, typename Launch>
void with_path(CudaPath path, const Launch& launch) {
  if constexpr (sizeof(In) > 1) {  // an image has three channels, of which no path but these knows what to do
    if (path == CudaPath::kPixels) return launch(token_kernel<In, Out, CudaPath::kPixels>);
    if (path == CudaPath::kPlanes) return launch(token_kernel<In, Out, CudaPath::kPlanes>);
  }
  if (path == CudaPath::kRuns) return launch(token_kernel<In, Out, CudaPath::kRuns>);
  launch(token_kernel<In, Out, CudaPath::kSingle>);
}

template <typename Out, typename Launch>
void with_input(const CudaSource& source, const Launch& launch) {
  switch (source.view.dtype) {
    case DType::kFloat16:
      return with_path<Half, Out>(source.path, launch);
    case DType::kBFloat16:
      return with_path<BFloat16, Out>(source.path, launch);
    case DType::kUInt8:
      return with_path<uint8_t, Out>(source.path, launch);
    default:
      return with_path<float, Out>(source.path, launch);
  }
}

template <typename Launch>
void with_kernel(const CudaSource& source, DType out_dtype, const Launch& launch) {
  switch (out_dtype) {
    case DType::kFloat16:
      return with_input<Half>(source, launch);
    case DType::kBFloat16:
      return with_input<BFloat16>(source, launch);
    default:
      return with_input<float>(source, launch);
  }
}

}  // namespace
}  // namespace fer_fast
