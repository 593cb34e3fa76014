// The CUDA twin's kernel and its plan: views of device memory come in, tokens go out. CUDA's keywords aside it is plain
// C++, so that the tests run this very body on the host.
#pragma once

#include "tokens_math.h"

namespace fer_fast {

// How a source is read. Every store of the first three is 16 bytes wide, and so is every load of memory that allows it.
enum class CudaPath : int32_t {
  kRuns,    // right size, channels last: a patch's row is one run of memory
  kPixels,  // resized, channels last: neighbouring channels share their taps
  kPlanes,  // one channel after the other: some channels at a time, through shared memory
  kSingle,  // any strides, reduce_mean, or runs off the 16-byte grid: an element at a time
};

// Passed by value, as a kernel's argument.
struct CudaTokens {
  SourceView sources[kMaxSources];
  CudaPath paths[kMaxSources];
  int64_t columns[kMaxSources];
  int64_t token_rows[kMaxSources];  // of kPlanes: rows of tokens at a time
  int64_t source_count;
  int64_t token_count;  // batch * grid * grid
  int64_t grid;
  int64_t width;  // K
  void* out;
};

namespace {

constexpr int kCudaThreads = 256;
// kPlanes: channels at a time, two neighbouring stores for each pixel in 16 bits; and the shared memory for them.
constexpr int64_t kPlaneChannels = 16;
constexpr int64_t kPlaneBytes = 16384;
// A multiprocessor must hold at least this many blocks. Unsaid, nvcc 13.0 keeps to 64 registers on sm_90 and spills.
constexpr int kCudaBlocks = 2;

inline int64_t cuda_element_size(DType dtype) { return dtype == DType::kFloat32 ? 4 : dtype == DType::kUInt8 ? 1 : 2; }

inline bool on_grid(const SourceView& view, int64_t elements) {
  const int64_t bytes = elements * cuda_element_size(view.dtype);
  return reinterpret_cast<uintptr_t>(view.data) % static_cast<uintptr_t>(bytes < 16 ? bytes : 16) == 0 &&
         view.batch_stride % elements == 0 && view.height_stride % elements == 0 &&
         view.width_stride * view.patch % elements == 0;
}

// How many rows of tokens of kPlaneChannels channels fit the shared memory; 0 if planes are not dense or do not fit.
inline int64_t plane_token_rows(const SourceView& view, int64_t grid) {
  const int64_t plane = view.height * view.width;
  const bool dense = view.width_stride == 1 && view.height_stride == view.width && view.channel_stride == plane;
  if (!dense || view.channels % kPlaneChannels != 0) return 0;
  const int64_t room = kPlaneBytes / (kPlaneChannels * cuda_element_size(view.dtype));  // elements of a channel
  if (plane <= room) return grid;
  const bool right_size = view.height == grid * view.patch && view.width == grid * view.patch;
  return right_size ? room / (view.patch * view.width) : 0;
}

inline CudaPath cuda_path(const SourceView& view, int64_t grid, int64_t column, int64_t width, DType out_dtype) {
  const int64_t lanes = 16 / cuda_element_size(out_dtype);
  const bool channels_last = view.channel_stride == 1 && (view.width == 1 || view.width_stride == view.channels);
  if (view.reduce_mean || column % lanes != 0 || width % lanes != 0) return CudaPath::kSingle;
  if (!channels_last && plane_token_rows(view, grid) > 0) return CudaPath::kPlanes;
  if (!channels_last || !on_grid(view, lanes)) return CudaPath::kSingle;
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
    plan.token_rows[s] = plan.paths[s] == CudaPath::kPlanes ? plane_token_rows(sources[s], grid) : 0;
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
    case CudaPath::kPlanes:  // not token by token: write_cuda_planes
      break;
    case CudaPath::kSingle:
      for (int32_t i = first; i < size; i += step) write_pixel<In, Out, 1>(source, side, place, i, block);
      break;
  }
}

// Copies `rows` rows of kPlaneChannels neighbouring channels, one channel after the other.
template <typename In>
__device__ __forceinline__ void load_planes(const In* from, int64_t plane, int32_t elements, In* to) {
  constexpr int kLoad = 16 / sizeof(In);
  const auto first = static_cast<int32_t>(threadIdx.x);
  const auto step = static_cast<int32_t>(blockDim.x);
  // Whole planes follow each other without a gap.
  const int32_t runs = elements == plane ? 1 : static_cast<int32_t>(kPlaneChannels);
  const int32_t length = elements == plane ? elements * static_cast<int32_t>(kPlaneChannels) : elements;
  const bool aligned = reinterpret_cast<uintptr_t>(from) % 16 == 0 && length % kLoad == 0 &&
                       (runs == 1 || plane % kLoad == 0);
  FER_FAST_ROLLED
  for (int32_t run = 0; run < runs; ++run) {
    const In* source = from + run * plane;
    In* target = to + run * length;
    if (aligned) {
      for (int32_t i = first * kLoad; i < length; i += step * kLoad) {
        *reinterpret_cast<Pack<In, kLoad>*>(target + i) = *reinterpret_cast<const Pack<In, kLoad>*>(source + i);
      }
    } else {
      for (int32_t i = first; i < length; i += step) target[i] = source[i];
    }
  }
}

// Some rows of tokens, of kPlaneChannels channels. Neighbouring threads write two neighbouring packs of a pixel, which
// fill one 32-byte sector, then go on to the next pixel: shared memory is then read side by side.
template <typename In, typename Out>
__device__ __forceinline__ void write_cuda_planes(const CudaTokens& plan, int64_t s, int64_t item, In* shared) {
  constexpr int kPack = 16 / sizeof(Out);
  const SourceView& source = plan.sources[s];
  const int64_t chunks = source.channels / kPlaneChannels;
  const int64_t bands = (plan.grid + plan.token_rows[s] - 1) / plan.token_rows[s];
  const int64_t channel = item % chunks * kPlaneChannels;
  const int64_t first_row = item / chunks % bands * plan.token_rows[s];  // of tokens
  const int64_t b = item / chunks / bands;
  const int64_t rows = first_row + plan.token_rows[s] < plan.grid ? plan.token_rows[s] : plan.grid - first_row;
  const bool whole = plan.token_rows[s] == plan.grid;
  const int64_t plane = source.height * source.width;
  const auto elements = static_cast<int32_t>(whole ? plane : rows * source.patch * source.width);
  load_planes(static_cast<const In*>(source.data) + b * source.batch_stride + channel * plane +
                  first_row * source.patch * source.width,
              plane, elements, shared);
  __syncthreads();
  SourceView tile = source;  // the part in shared memory, as a source of its own
  tile.data = shared;
  tile.batch_stride = 0;
  tile.channel_stride = elements;
  tile.mean = source.mean + channel;
  tile.inv_std = source.inv_std + channel;
  const int64_t side = plan.grid * source.patch;
  const bool resized = source.height != side || source.width != side;
  const auto patch = static_cast<int32_t>(source.patch);
  const auto columns = static_cast<int32_t>(side);
  const int32_t pixels = static_cast<int32_t>(rows) * patch * columns;
  constexpr int32_t kPairs = kPlaneChannels / (2 * kPack);
  const auto step = static_cast<int32_t>(blockDim.x);
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < 2 * kPairs * pixels; i += step) {
    const int32_t pixel = i / 2 % pixels;
    const int32_t c = (i / 2 / pixels * 2 + i % 2) * kPack;
    const int32_t y = pixel / columns;
    const int32_t x = pixel % columns;
    float values[kPack];
    if (resized) {  // then the whole planes are here
      token_elements<kPack, In, false>(tile, side, 0, y, x, c, values);
    } else {
      const In* in = shared + c * elements + y * columns + x;
      FER_FAST_UNROLLED
      for (int lane = 0; lane < kPack; ++lane) {
        values[lane] = normalise(to_float(in[lane * elements]), tile.mean[c + lane], tile.inv_std[c + lane]);
      }
    }
    Pack<Out, kPack> out;
    FER_FAST_UNROLLED
    for (int lane = 0; lane < kPack; ++lane) from_float(values[lane], &out.elements[lane]);
    const int64_t token = (b * plan.grid + first_row + y / patch) * plan.grid + x / patch;
    const int64_t within = static_cast<int64_t>(y % patch * patch + x % patch) * source.channels + channel + c;
    auto* const to = static_cast<Out*>(plan.out) + token * plan.width + plan.columns[s] + within;
    *reinterpret_cast<Pack<Out, kPack>*>(to) = out;
  }
  __syncthreads();  // before the next item overwrites what is shared
}

template <typename Out>
__device__ __forceinline__ void write_all_planes(const CudaTokens& plan) {
  __shared__ Pack<unsigned char, 16> shared[kPlaneBytes / 16];
  const int64_t batch = plan.token_count / (plan.grid * plan.grid);
  for (int64_t s = 0; s < plan.source_count; ++s) {
    if (plan.paths[s] != CudaPath::kPlanes) continue;
    const int64_t bands = (plan.grid + plan.token_rows[s] - 1) / plan.token_rows[s];
    const int64_t items = batch * bands * (plan.sources[s].channels / kPlaneChannels);
    for (int64_t item = blockIdx.x; item < items; item += gridDim.x) {
      switch (plan.sources[s].dtype) {
        case DType::kFloat32:
          write_cuda_planes<float, Out>(plan, s, item, reinterpret_cast<float*>(shared));
          break;
        case DType::kFloat16:
          write_cuda_planes<Half, Out>(plan, s, item, reinterpret_cast<Half*>(shared));
          break;
        case DType::kBFloat16:
          write_cuda_planes<BFloat16, Out>(plan, s, item, reinterpret_cast<BFloat16*>(shared));
          break;
        case DType::kUInt8:
          write_cuda_planes<uint8_t, Out>(plan, s, item, reinterpret_cast<uint8_t*>(shared));
          break;
      }
    }
  }
}

// A block of threads takes one token after another: K elements side by side, so that neighbouring threads write
// neighbours. Sources that lie plane by plane follow, some channels of one image at a time.
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
  write_all_planes<Out>(plan);
}

}  // namespace
}  // namespace fer_fast
