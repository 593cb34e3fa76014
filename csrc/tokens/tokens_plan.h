// What the CPU kernel reads: plain pointers, filled once a call by tokens.cpp.
#pragma once

#include <cstdint>

#include "fer_fast/tokens.h"

namespace fer_fast {

// The weighted input pixels of one output pixel of an axis.
struct Taps {
  int64_t first;
  int64_t count;
  const float* weights;  // [count], their sum is 1
};

struct SourcePlan {
  SourceView view;
  int64_t column;    // where its block starts in a token
  int64_t channels;  // of its tokens: 1 with reduce_mean
  int64_t side;      // grid * patch
  bool resized;
  bool staged;               // rows are first brought to [rows, width, channels]: other strides, or reduce_mean
  const Taps* vertical;      // [side], of the rows
  const Taps* horizontal;    // [side], of the columns
  const float* mean_run;     // [patch * channels], the mean repeated
  const float* inv_std_run;  // [patch * channels]
  int64_t stage_rows;        // as many input rows as its part of the scratch holds; 0 unless staged
  int64_t stage_offset;      // of that part, in floats: [stage_rows, width, channels]
  int64_t blend_offset;      // of the vertically resampled rows, in floats: [patch, width, channels]
};

struct TokensPlan {
  SourcePlan sources[kMaxSources];
  int64_t source_count;
  int64_t grid;
  int64_t width;  // K
  void* out;
  DType out_dtype;
  bool stream;           // tokens go past the caches, by way of one token in the scratch
  int64_t token_offset;  // of that token, in floats
  int64_t scratch_floats;
};

// Fills token rows [begin, end) of batch * grid; a token row is `grid` tokens. Touches no global state and throws
// nothing.
using TokenRows = void (*)(const TokensPlan& plan, int64_t begin, int64_t end, float* scratch);

namespace baseline {
void token_rows(const TokensPlan& plan, int64_t begin, int64_t end, float* scratch);
}
namespace avx2 {
void token_rows(const TokensPlan& plan, int64_t begin, int64_t end, float* scratch);
}
namespace avx512 {
void token_rows(const TokensPlan& plan, int64_t begin, int64_t end, float* scratch);
}

// The kernel of cpu_level().
TokenRows token_rows_kernel();

}  // namespace fer_fast
