// Gives fer_fast::fused_tokens its CUDA twin. In a library of its own: a CPU-only torch lacks aoti_torch_*_cuda_*.
#include "fer_fast/tokens_cuda.h"
#include "torch_arguments.h"

// Torch's header shows these to builds with the CUDA toolkit's headers alone, but they are plain C.
extern "C" {
AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);
AOTITorchError aoti_torch_create_cuda_guard(int32_t device_index, void** guard);
AOTITorchError aoti_torch_delete_cuda_guard(void* guard);
}

namespace fer_fast {
namespace {

class DeviceGuard {
 public:
  explicit DeviceGuard(int32_t device) { STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_create_cuda_guard(device, &guard_)); }
  ~DeviceGuard() { aoti_torch_delete_cuda_guard(guard_); }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  void* guard_ = nullptr;
};

Tensor fused_tokens_torch_cuda(std::vector<Tensor> sources, std::vector<Tensor> means, std::vector<Tensor> inv_stds,
                               std::vector<int64_t> patches, int64_t grid, std::vector<bool> reduce_mean,
                               ScalarType out_dtype) {
  return with_named_errors([&] {
    const TorchArguments arguments = check_arguments(sources, means, inv_stds, patches, grid, reduce_mean, out_dtype);
    const int32_t device = sources[0].get_device_index();
    const DeviceGuard guard(device);
    Tensor out = torch::stable::new_empty(sources[0], arguments.out_sizes, out_dtype);
    void* stream = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
    try {
      fused_tokens_cuda(arguments.sources.data(), static_cast<int64_t>(arguments.sources.size()), grid,
                        out.mutable_data_ptr(), arguments.out_dtype, stream);
    } catch (const std::invalid_argument&) {
      throw;
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(std::string("FerFastError: ") + error.what());
    }
    return out;
  });
}

}  // namespace
}  // namespace fer_fast

STABLE_TORCH_LIBRARY_IMPL(fer_fast, CUDA, library) {
  library.impl("fused_tokens", TORCH_BOX(&fer_fast::fused_tokens_torch_cuda));
}
