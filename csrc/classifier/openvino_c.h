// The functions of OpenVINO's C interface that run a model, as libopenvino_c has them since 2025.2. The library is
// opened when the first model needs it: to build takes no OpenVINO, and to run any version that has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace fer_fast {

// Of openvino/c, whose names these have.
struct ov_core;
struct ov_model;
struct ov_compiled_model;
struct ov_infer_request;
struct ov_tensor;

struct ov_version {
  char* build_number;
  char* description;
};

struct ov_shape {
  int64_t rank;
  int64_t* dims;
};

// Of ov_element_type_e. Should a later version count otherwise, it refuses the tensors: their types are not the
// model's.
enum ov_element_type : int32_t { kOpenVinoF32 = 4, kOpenVinoU8 = 16 };

// FUNCTION(what it returns, its name without ov_, its arguments); a status is 0 where all went well.
#define FER_FAST_OPENVINO_FUNCTIONS(FUNCTION)                                                                  \
  FUNCTION(int, get_openvino_version, (ov_version*))                                                           \
  FUNCTION(void, version_free, (ov_version*))                                                                  \
  FUNCTION(char*, get_last_err_msg, ())                                                                        \
  FUNCTION(void, free, (char*))                                                                                \
  FUNCTION(int, core_create, (ov_core**))                                                                      \
  FUNCTION(void, core_free, (ov_core*))                                                                        \
  FUNCTION(int, core_get_property, (const ov_core*, const char* device, const char* name, char** value))       \
  FUNCTION(int, core_read_model_from_memory_buffer,                                                            \
           (const ov_core*, const char* graph, std::size_t bytes, const ov_tensor* weights, ov_model**))       \
  FUNCTION(void, model_free, (ov_model*))                                                                      \
  FUNCTION(int, core_compile_model,                                                                            \
           (const ov_core*, const ov_model*, const char* device, std::size_t texts, ov_compiled_model**, ...)) \
  FUNCTION(void, compiled_model_free, (ov_compiled_model*))                                                    \
  FUNCTION(int, compiled_model_get_property, (const ov_compiled_model*, const char* name, char** value))       \
  FUNCTION(int, compiled_model_create_infer_request, (const ov_compiled_model*, ov_infer_request**))           \
  FUNCTION(void, infer_request_free, (ov_infer_request*))                                                      \
  FUNCTION(int, infer_request_set_input_tensor, (ov_infer_request*, const ov_tensor*))                         \
  FUNCTION(int, infer_request_set_output_tensor, (ov_infer_request*, const ov_tensor*))                        \
  FUNCTION(int, infer_request_infer, (ov_infer_request*))                                                      \
  FUNCTION(int, tensor_create_from_host_ptr, (ov_element_type, ov_shape, void* data, ov_tensor**))             \
  FUNCTION(void, tensor_free, (ov_tensor*))

struct OpenVino {
#define FER_FAST_OPENVINO_MEMBER(result, name, arguments) result(*name) arguments = nullptr;
  FER_FAST_OPENVINO_FUNCTIONS(FER_FAST_OPENVINO_MEMBER)
#undef FER_FAST_OPENVINO_MEMBER
  std::string version = "of no version";  // else as "2026.4.1-22982-0123456789a-releases/2026/4"
};

// The library, found and loaded by the first call that succeeds, for as long as the process lives. Throws Error.
const OpenVino& openvino();

// What OpenVINO made, freed by the function that it has for that.
template <typename Thing, void (*OpenVino::*free)(Thing*)>
struct OpenVinoFree {
  void operator()(Thing* thing) const { (openvino().*free)(thing); }
};
template <typename Thing, void (*OpenVino::*free)(Thing*)>
using OpenVinoOwned = std::unique_ptr<Thing, OpenVinoFree<Thing, free>>;

}  // namespace fer_fast
