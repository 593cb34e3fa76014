// The CUDA twin's kernel and its plan: views of device memory come in, tokens go out. CUDA's keywords aside it is plain
// C++, so that the tests run this very body on the host.
#pragma once

#include "tokens_math.h"

namespace fer_fast {

// How a source is read. Every store and load of the first two is 16 bytes of output wide.
enum class CudaPath : int32_t {
  kRuns,    // right size, channels last: a patch's row is one run of memory
  kPixels,  // resized, channels last: neighbouring channels share their taps
  kSingle,  // any strides, reduce_mean, or runs off the 16-byte grid: an element at a time
};

// Passed by value, as a kernel's argument.
struct CudaTokens {
  SourceView sources[kMaxSources];
  CudaPath paths[kMaxSources];
  int64_t columns[kMaxSources];
  int64_t source_count;
  int64_t token_count;  // batch * grid * grid
  int64_t grid;
  int64_t width;  // K
  void* out;
};

namespace {

constexpr int kCudaThreads = 256;
// A multiprocessor must hold at least this many blocks. Unsaid, nvcc 13.0 keeps to 64 registers on sm_90 and spills.
constexpr int kCudaBlocks = 2;

inline int64_t cuda_element_size(DType dtype) { return dtype == DType::kFloat32 ? 4 : dtype == DType::kUInt8 ? 1 : 2; }

inline bool on_grid(const SourceView& view, int64_t elements) {
  const int64_t bytes = elements * cuda_element_size(view.dtype);
  return reinterpret_cast<uintptr_t>(view.data) % static_cast<uintptr_t>(bytes < 16 ? bytes : 16) == 0 &&
         view.batch_stride % elements == 0 && view.height_stride % elements == 0 &&
         view.width_stride * view.patch % elements == 0;
}

inline CudaPath cuda_path(const SourceView& view, int64_t grid, int64_t column, int64_t width, DType out_dtype) {
  const int64_t lanes = 16 / cuda_element_size(out_dtype);
  const bool channels_last = view.channel_stride == 1 && (view.width == 1 || view.width_stride == view.channels);
  if (view.reduce_mean || !channels_last || column % lanes != 0 || width % lanes != 0 || !on_grid(view, lanes)) {
    return CudaPath::kSingle;
  }
  const int64_t side = grid * view.patch;
  if (view.height == side && view.width == side) {
    return view.patch * view.channels % lanes == 0 ? CudaPath::kRuns : CudaPath::kSingle;
  }
  return view.channels % lanes == 0 && view.width_stride % lanes == 0 ? CudaPath::kPixels : CudaPath::kSingle;
}

// The arguments have passed check_tokens.
inline CudaTokens plan_cuda_tokens(const SourceView* sources, int64_t source_count, int64_t grid, void* out,
                                   DType out_dtype) {
  CudaTokens plan{};
  plan.source_count = source_count;
  plan.token_count = sources[0].batch * grid * grid;
  plan.grid = grid;
  plan.width = token_width(sources, source_count);
  plan.out = out;
  int64_t column = 0;
  for (int64_t s = 0; s < source_count; ++s) {
    plan.sources[s] = sources[s];
    plan.columns[s] = column;
    plan.paths[s] = cuda_path(sources[s], grid, column, plan.width, out_dtype);
    column += (sources[s].reduce_mean ? 1 : sources[s].channels) * sources[s].patch * sources[s].patch;
  }
  return plan;
}

template <typename Element, int Count>
struct alignas(sizeof(Element) * Count < 16 ? sizeof(Element) * Count : 16) Pack {
  Element elements[Count];
};

struct TokenPlace {
  int64_t b;
  int32_t ty;
  int32_t tx;
};

template <typename In, typename Out, int Lanes>
__device__ __forceinline__ void write_run(const SourceView& source, const TokenPlace& place, int32_t i, Out* block) {
  const auto channels = static_cast<int32_t>(source.channels);
  const auto run = static_cast<int32_t>(source.patch) * channels;
  const int32_t dy = i / run;
  const int32_t offset = i - dy * run;
  const In* in = static_cast<const In*>(source.data) + place.b * source.batch_stride +
                 (place.ty * source.patch + dy) * source.height_stride + place.tx * run + offset;
  const auto pack = *reinterpret_cast<const Pack<In, Lanes>*>(in);
  Pack<Out, Lanes> out;
  int32_t c = offset % channels;
  FER_FAST_UNROLLED
  for (int lane = 0; lane < Lanes; ++lane) {
    from_float(normalise(to_float(pack.elements[lane]), source.mean[c], source.inv_std[c]), &out.elements[lane]);
    c = c + 1 == channels ? 0 : c + 1;
  }
  *reinterpret_cast<Pack<Out, Lanes>*>(block + i) = out;
}

template <typename In, typename Out, int Lanes>
__device__ __forceinline__ void write_pixel(const SourceView& source, int64_t side, const TokenPlace& place, int32_t i,
                                            Out* block) {
  const auto channels = source.reduce_mean ? 1 : static_cast<int32_t>(source.channels);
  const auto patch = static_cast<int32_t>(source.patch);
  const int32_t pixel = i / channels;
  float values[Lanes];
  token_elements<Lanes, In>(source, side, place.b, place.ty * patch + pixel / patch, place.tx * patch + pixel % patch,
                            i - pixel * channels, values);
  Pack<Out, Lanes> out;
  FER_FAST_UNROLLED
  for (int lane = 0; lane < Lanes; ++lane) from_float(values[lane], &out.elements[lane]);
  *reinterpret_cast<Pack<Out, Lanes>*>(block + i) = out;
}

template <typename In, typename Out>
__device__ __forceinline__ void write_cuda_block(const CudaTokens& plan, int64_t s, const TokenPlace& place,
                                                 Out* block) {
  constexpr int kPack = 16 / sizeof(Out);
  const SourceView& source = plan.sources[s];
  const auto size = static_cast<int32_t>((source.reduce_mean ? 1 : source.channels) * source.patch * source.patch);
  const int64_t side = plan.grid * source.patch;
  const auto first = static_cast<int32_t>(threadIdx.x);
  const auto step = static_cast<int32_t>(blockDim.x);
  switch (plan.paths[s]) {
    case CudaPath::kRuns:
      for (int32_t i = first * kPack; i < size; i += step * kPack) write_run<In, Out, kPack>(source, place, i, block);
      break;
    case CudaPath::kPixels:
      for (int32_t i = first * kPack; i < size; i += step * kPack) {
        write_pixel<In, Out, kPack>(source, side, place, i, block);
      }
      break;
    case CudaPath::kSingle:
      for (int32_t i = first; i < size; i += step) write_pixel<In, Out, 1>(source, side, place, i, block);
      break;
  }
}

// A block of threads takes one token after another: K elements side by side, so that neighbouring threads write
// neighbours.
template <typename Out>
__global__ void __launch_bounds__(kCudaThreads, kCudaBlocks) token_kernel(const CudaTokens plan) {
  for (int64_t token = blockIdx.x; token < plan.token_count; token += gridDim.x) {
    const auto cell = static_cast<int32_t>(token % (plan.grid * plan.grid));
    const auto grid = static_cast<int32_t>(plan.grid);
    const TokenPlace place{token / (plan.grid * plan.grid), cell / grid, cell % grid};
    for (int64_t s = 0; s < plan.source_count; ++s) {
      Out* block = static_cast<Out*>(plan.out) + token * plan.width + plan.columns[s];
      switch (plan.sources[s].dtype) {
        case DType::kFloat32:
          write_cuda_block<float>(plan, s, place, block);
          break;
        case DType::kFloat16:
          write_cuda_block<Half>(plan, s, place, block);
          break;
        case DType::kBFloat16:
          write_cuda_block<BFloat16>(plan, s, place, block);
          break;
        case DType::kUInt8:
          write_cuda_block<uint8_t>(plan, s, place, block);
          break;
      }
    }
  }
}

}  // namespace
}  // namespace fer_fast
