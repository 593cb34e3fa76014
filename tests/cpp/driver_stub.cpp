// A libcuda.so.1 without a card: what it launches runs on the host, by the kernel's real body. The shim comes first:
// the kernel needs its keywords.
#include "kernel_shim.h"

#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "../../csrc/tokens/cuda_dispatch.h"
#include "../../csrc/tokens/cuda_program.h"
#include "../../csrc/tokens/image_dispatch.h"

using namespace fer_fast;

namespace fer_fast {
namespace {
uint4 cuda_shared[48 * 1024 / sizeof(uint4)];
}
}  // namespace fer_fast

namespace {
int pushed = 0;  // contexts that are current
std::string image;
std::map<unsigned long long, int> places;
constexpr int kInvalid = 1;
}  // namespace

extern "C" {

int cuInit(unsigned) { return 0; }

int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return ordinal == 0 ? 0 : kInvalid;
}

int cuDevicePrimaryCtxRetain(void** context, int) {
  *context = &pushed;
  return 0;
}

int cuCtxPushCurrent_v2(void* context) {
  pushed += context == &pushed;
  return 0;
}

int cuCtxPopCurrent_v2(void** context) {
  --pushed;
  *context = &pushed;
  return 0;
}

int cuModuleLoadData(void** module, const void* data) {
  image = std::string(static_cast<const char*>(data));
  *module = &image;
  return pushed == 1 && image == "a cubin" ? 0 : kInvalid;
}

int cuModuleGetFunction(void** function, void* module, const char* name) {
  if (module != &image || cuda_program().find(std::string(" ") + name + "(") == std::string::npos) return kInvalid;
  *function = strdup(name);
  return 0;
}

// Says what is launched, and does it: as the entry's name has it, not as the plan has it.
int cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned,
                   unsigned shared_bytes, void* stream, void** arguments, void**) {
  const std::string name = static_cast<const char*>(function);
  free(function);
  printf("%s on %zu\n", name.c_str(), reinterpret_cast<size_t>(stream));
  fflush(stdout);
  if (pushed != 1 || y != 1 || z != 1 || shared_bytes > sizeof(cuda_shared)) return kInvalid;
  if (name.rfind("normalised_image_", 0) == 0) {
    const auto& image = *static_cast<const CudaImage*>(arguments[0]);
    if (name != image_entry(image.view.out_dtype, image.path)) return kInvalid;
    with_image_kernel(image, [&](auto kernel) { run_blocks(x, threads, [&] { kernel(image); }); });
    return 0;
  }
  const auto& source = *static_cast<const CudaSource*>(arguments[0]);
  for (const DType out : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    if (name != cuda_entry(source.view.dtype, out, source.path)) continue;
    with_kernel(source, out, [&](auto kernel) { run_blocks(x, threads, [&] { kernel(source); }); });
    return 0;
  }
  return kInvalid;
}

// Where the tests put what they say is on a second card, or on none.
void stub_put(unsigned long long address, int card) { places[address] = card; }

int cuPointerGetAttribute(void* data, int attribute, unsigned long long address) {
  const auto found = places.find(address);
  const int card = found == places.end() ? 0 : found->second;
  *static_cast<int*>(data) = card;
  return attribute == 9 && card >= 0 ? 0 : kInvalid;
}

int cuGetErrorString(int, const char** text) {
  *text = "invalid argument";
  return 0;
}
}
