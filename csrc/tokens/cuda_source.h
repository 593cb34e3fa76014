// What a launch of the CUDA twin's kernel is told: one source, and how it is shared out among blocks and threads.
#pragma once

#include "fer_fast/tokens.h"

namespace fer_fast {

// How a source is read. The first three read and write sixteen bytes at a time.
enum class CudaPath : int32_t {
  kRuns,    // right size, channels last: a patch's row is one run of memory
  kPixels,  // resized, channels last: neighbouring channels share their taps
  kPlanes,  // one channel after the other, resized or not
  kSingle,  // whatever is left: any strides, reduce_mean, off the grid of sixteen bytes; an element at a time
};

// The most threads of a block, and how many such blocks a multiprocessor must hold at least. That leaves a thread 96
// registers; three blocks of 256 threads leave it 80, and on sm_86 some were spilled.
constexpr int32_t kCudaThreads = 192;
constexpr int32_t kCudaBlocks = 3;

// Passed by value, as the kernel's argument. All counts are of elements unless they say otherwise.
//
// A share is what a block brings to shared memory, and makes tokens of, at once: of one image, some neighbouring rows
// of tokens or a part of one row, and of these some neighbouring channels. All shares of a source are of one size.
struct CudaSource {
  SourceView view;
  CudaPath path;
  int32_t grid;
  void* out;             // its first element of the first token
  int64_t token_stride;  // K
  int64_t shares;        // of kSingle: elements of all tokens
  int32_t rows;          // of tokens in a share
  int32_t span;          // tokens of such a row
  int32_t channels;      // of a share
  int32_t runs;          // of memory that a share is read by
  int32_t run_length;    // of each
  int64_t run_stride;    // from one to the next
  int32_t columns;       // of sixteen bytes in a token's part of a share
  int32_t owners;        // threads side by side, each with a column of its own
  int32_t slots;         // threads of one column, which take turns at the tokens
  int32_t taps;          // the most input pixels that an output pixel of an axis draws on; 0: right size
  int32_t blocks;
  int32_t threads;       // of a block
  int32_t shared_bytes;  // of a block
};

}  // namespace fer_fast
