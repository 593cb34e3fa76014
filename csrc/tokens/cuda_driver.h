// The kernels by way of the driver alone, for where no nvcc built it: machine code comes in, launches go out.
#pragma once

#include <string>

#include "cuda_image.h"

namespace fer_fast {

// The entries of cuda_program, compiled for one card. libcuda is opened when the first is loaded, so that what is
// linked with this runs where there is no driver. What is loaded stays until the process ends, as CUDA's runtime keeps
// its own.
class CudaCode {
 public:
  // Takes a cubin for the card of that number. Throws std::runtime_error: no driver, no such card, or not its code.
  CudaCode(const std::string& cubin, int device);

  // As fused_tokens_cuda, on a stream of that card; any thread may call it, whatever context is its current one.
  void fused_tokens(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                    void* stream) const;

  // As normalised_image_cuda, likewise.
  void normalised_image(const ImageView& view, void* stream) const;

  int device() const { return device_; }

 private:
  // The context must be current; the launch has one argument.
  void launch(const std::string& entry, int32_t blocks, int32_t threads, int32_t shared_bytes, void* stream,
              void* argument) const;

  int device_;
  void* context_ = nullptr;  // the primary one, which CUDA's runtime, and so torch, has too
  void* module_ = nullptr;
};

// The number of the card on which an address lies; -1: on none. Throws std::runtime_error where there is no driver.
int card_of(uintptr_t address);

}  // namespace fer_fast
