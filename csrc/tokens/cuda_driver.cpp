#include "cuda_driver.h"

#include <dlfcn.h>

#include <stdexcept>

#include "cuda_plan.h"
#include "cuda_program.h"
#include "image_plan.h"

namespace fer_fast {
namespace {

// Of cuda.h, what is used here: the package is built without CUDA's headers.
using CUresult = int;
constexpr CUresult kSuccess = 0;
constexpr int kDeviceOrdinal = 9;  // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL

// The functions of libcuda, by their own names.
struct Driver {
  CUresult (*cuInit)(unsigned flags);
  CUresult (*cuDeviceGet)(int* device, int ordinal);
  CUresult (*cuDevicePrimaryCtxRetain)(void** context, int device);
  CUresult (*cuCtxPushCurrent_v2)(void* context);
  CUresult (*cuCtxPopCurrent_v2)(void** context);
  CUresult (*cuModuleLoadData)(void** module, const void* image);
  CUresult (*cuModuleGetFunction)(void** function, void* module, const char* name);
  CUresult (*cuLaunchKernel)(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                             unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** arguments,
                             void** extra);
  CUresult (*cuPointerGetAttribute)(void* data, int attribute, unsigned long long pointer);
  CUresult (*cuGetErrorString)(CUresult status, const char** text);
};

template <typename Function>
void find(void* library, const char* name, Function** function) {
  *function = reinterpret_cast<Function*>(dlsym(library, name));
  if (*function == nullptr) throw std::runtime_error(std::string("libcuda.so.1 is too old: it has no ") + name);
}

Driver open_driver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(std::string("no CUDA driver: ") + dlerror());
  Driver driver{};
  find(library, "cuInit", &driver.cuInit);
  find(library, "cuDeviceGet", &driver.cuDeviceGet);
  find(library, "cuDevicePrimaryCtxRetain", &driver.cuDevicePrimaryCtxRetain);
  find(library, "cuCtxPushCurrent_v2", &driver.cuCtxPushCurrent_v2);
  find(library, "cuCtxPopCurrent_v2", &driver.cuCtxPopCurrent_v2);
  find(library, "cuModuleLoadData", &driver.cuModuleLoadData);
  find(library, "cuModuleGetFunction", &driver.cuModuleGetFunction);
  find(library, "cuLaunchKernel", &driver.cuLaunchKernel);
  find(library, "cuPointerGetAttribute", &driver.cuPointerGetAttribute);
  find(library, "cuGetErrorString", &driver.cuGetErrorString);
  return driver;
}

const Driver& driver() {
  static const Driver opened = open_driver();  // again at the next call, if it throws
  return opened;
}

void check(CUresult status, const char* what) {
  if (status == kSuccess) return;
  const char* text = nullptr;
  driver().cuGetErrorString(status, &text);
  const std::string said = text != nullptr ? text : "error " + std::to_string(status);
  throw std::runtime_error(std::string("CUDA: ") + what + " failed: " + said);
}

// A context for as long as this lives.
struct Current {
  explicit Current(void* context) { check(driver().cuCtxPushCurrent_v2(context), "cuCtxPushCurrent"); }
  ~Current() {
    void* ours = nullptr;
    driver().cuCtxPopCurrent_v2(&ours);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
};

}  // namespace

CudaCode::CudaCode(const std::string& cubin, int device) : device_(device) {
  int handle = 0;
  check(driver().cuInit(0), "cuInit");
  check(driver().cuDeviceGet(&handle, device), "cuDeviceGet");
  check(driver().cuDevicePrimaryCtxRetain(&context_, handle), "cuDevicePrimaryCtxRetain");
  const Current current(context_);
  check(driver().cuModuleLoadData(&module_, cubin.data()), "cuModuleLoadData");
}

void CudaCode::fused_tokens(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                            void* stream) const {
  CudaSource plan[kMaxSources];
  plan_cuda_tokens(sources, source_count, grid, out, out_dtype, plan);
  const Current current(context_);
  for (int64_t s = 0; s < source_count; ++s) {
    CudaSource& source = plan[s];
    if (source.blocks == 0) continue;
    launch(cuda_entry(source.view.dtype, out_dtype, source.path), source.blocks, source.threads, source.shared_bytes,
           stream, &source);
  }
}

void CudaCode::normalised_image(const ImageView& view, void* stream) const {
  CudaImage image = plan_cuda_image(view);
  if (image.blocks == 0) return;
  const Current current(context_);
  launch(image_entry(view.out_dtype, image.path), image.blocks, image.threads, image.shared_bytes, stream, &image);
}

void CudaCode::launch(const std::string& entry, int32_t blocks, int32_t threads, int32_t shared_bytes, void* stream,
                      void* argument) const {
  void* function = nullptr;
  check(driver().cuModuleGetFunction(&function, module_, entry.c_str()), "cuModuleGetFunction");
  void* arguments[] = {argument};
  check(driver().cuLaunchKernel(function, static_cast<unsigned>(blocks), 1, 1, static_cast<unsigned>(threads), 1, 1,
                                static_cast<unsigned>(shared_bytes), stream, arguments, nullptr),
        "the launch");
}

int card_of(uintptr_t address) {
  int card = -1;
  check(driver().cuInit(0), "cuInit");
  return driver().cuPointerGetAttribute(&card, kDeviceOrdinal, address) == kSuccess ? card : -1;
}

}  // namespace fer_fast
