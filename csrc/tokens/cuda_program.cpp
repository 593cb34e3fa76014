#include "cuda_program.h"

namespace fer_fast {
namespace {

// NVRTC has no standard library. These are what the kernel needs of it.
constexpr const char* kStdint = R"(#pragma once
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t; typedef long long int64_t; typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
)";
constexpr const char* kStdexcept = R"(#pragma once
namespace std { struct invalid_argument { invalid_argument(const char*) {} }; }
)";

// Name of a header as it is included, and its text: CMakeLists.txt writes them there.
const std::pair<const char*, const char*> kHeaders[] = {
#include "cuda_headers.inc"
};

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kUInt8};
constexpr ImagePath kImagePaths[] = {ImagePath::kThree, ImagePath::kFour, ImagePath::kEight, ImagePath::kPlanes,
                                     ImagePath::kSingle};
constexpr CudaPath kPaths[] = {CudaPath::kRuns, CudaPath::kPixels, CudaPath::kPlanes, CudaPath::kSingle};

const char* dtype_name(DType dtype) {
  constexpr const char* kNames[] = {"float32", "float16", "bfloat16", "uint8"};
  return kNames[static_cast<int32_t>(dtype)];
}

const char* type_of(DType dtype) {
  constexpr const char* kTypes[] = {"float", "fer_fast::Half", "fer_fast::BFloat16", "uint8_t"};
  return kTypes[static_cast<int32_t>(dtype)];
}

const char* path_name(CudaPath path) {
  constexpr const char* kNames[] = {"runs", "pixels", "planes", "single"};
  return kNames[static_cast<int32_t>(path)];
}

const char* path_name(ImagePath path) {
  constexpr const char* kNames[] = {"three", "four", "eight", "planes", "single"};
  return kNames[static_cast<int32_t>(path)];
}

// An entry of a plain name for an instance of a kernel: that one's launch bounds, argument, body and template
// arguments.
std::string entry(const std::string& name, const char* bounds, const char* argument, const std::string& body) {
  return std::string("extern \"C\" __global__ void __launch_bounds__(") + bounds + ") " + name +
         "(const fer_fast::" + argument + " argument) { fer_fast::" + body + "(argument); }\n";
}

template <typename Path>
std::string number_of(const char* type, Path path) {
  return std::string("static_cast<fer_fast::") + type + ">(" + std::to_string(static_cast<int32_t>(path)) + ")";
}

// As with_kernel has them.
bool is_there(DType source, DType out, CudaPath path) {
  const bool of_image = path == CudaPath::kRuns || path == CudaPath::kSingle;
  return out != DType::kUInt8 && (source != DType::kUInt8 || of_image);
}

}  // namespace

std::string cuda_entry(DType source, DType out, CudaPath path) {
  return std::string("fused_tokens_") + dtype_name(source) + "_" + dtype_name(out) + "_" + path_name(path);
}

std::string image_entry(DType out, ImagePath path) {
  return std::string("normalised_image_") + dtype_name(out) + "_" + path_name(path);
}

std::string cuda_program() {
  std::string program = "#include \"tokens_kernel.h\"\n#include \"image_kernel.h\"\n";
  for (const DType out : kDTypes) {
    for (const DType source : kDTypes) {
      for (const CudaPath path : kPaths) {
        if (!is_there(source, out, path)) continue;
        const std::string types = std::string(type_of(source)) + ", " + type_of(out) + ", ";
        program += entry(cuda_entry(source, out, path), "fer_fast::kCudaThreads, fer_fast::kCudaBlocks", "CudaSource",
                         "take_shares<" + types + number_of("CudaPath", path) + ">");
      }
    }
    if (out == DType::kUInt8) continue;
    for (const ImagePath path : kImagePaths) {
      program += entry(image_entry(out, path), "fer_fast::kImageThreads, fer_fast::kImageBlocks", "CudaImage",
                       "take_pixels<" + std::string(type_of(out)) + ", " + number_of("ImagePath", path) + ">");
    }
  }
  return program;
}

std::vector<std::pair<std::string, std::string>> cuda_headers() {
  std::vector<std::pair<std::string, std::string>> headers(std::begin(kHeaders), std::end(kHeaders));
  headers.insert(headers.end(), {{"cstdint", kStdint}, {"cstring", "#pragma once\n"}, {"stdexcept", kStdexcept}});
  return headers;
}

}  // namespace fer_fast
