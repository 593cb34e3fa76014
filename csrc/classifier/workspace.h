// What a thread keeps from image to image while it makes pixels: memory is taken anew for larger ones alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "crops.h"

namespace fer_fast {

// Of one side of an image that is resized: which source pixels make each target pixel, and their weights.
struct ResizeWeights {
  struct Window {
    int64_t begin, count;
  };
  std::vector<Window> windows;   // [target]
  std::vector<int32_t> weights;  // [target][stride]
  int64_t stride = 0;
};

// An engine's kind of memory, see Engine::buffer.
using Buffer = std::unique_ptr<uint8_t[], std::function<void(uint8_t*)>>;

// One thread at a time has it. Each member is of the function that it is named after; what is in it means nothing between
// calls.
struct Workspace {
  std::vector<uint8_t> rgb;
  std::vector<uint8_t> reduce_means;
  std::vector<uint32_t> reduce_sums;
  ResizeWeights resize_columns, resize_rows;
  std::vector<double> resize_exact;
  std::vector<uint8_t> resize_first, resize_second;
  std::vector<int32_t> resize_sums;
  Cropper cropper;
  Buffer batch;
  std::size_t batch_bytes = 0;
  std::vector<float> cells;
  std::vector<uint8_t> second_look;
};

}  // namespace fer_fast
