#include "image_cuda.h"

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "image_dispatch.h"
#include "image_plan.h"

namespace fer_fast {

void normalised_image_cuda(const ImageView& view, void* stream) {
  const CudaImage image = plan_cuda_image(view);
  if (image.blocks == 0) return;
  with_image_kernel(image, [&](auto kernel) {
    kernel<<<image.blocks, image.threads, image.shared_bytes, static_cast<cudaStream_t>(stream)>>>(image);
  });
  const cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string("normalised_image: the launch failed: ") + cudaGetErrorString(status));
}

}  // namespace fer_fast
