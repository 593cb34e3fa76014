// Addresses that the CUDA twin is given, and the grid of sixteen bytes on which it is fastest.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>

#include "fer_fast/tokens.h"

namespace fer_fast {

constexpr int64_t kWide = 16;  // bytes of an access

inline int64_t element_size(DType dtype) { return dtype == DType::kFloat32 ? 4 : dtype == DType::kUInt8 ? 1 : 2; }

inline bool on_grid(const void* pointer, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(bytes) == 0;
}

inline void check_aligned(const std::string& name, const void* pointer, int64_t bytes) {
  if (on_grid(pointer, bytes)) return;
  std::ostringstream message;
  message << name << ": must be aligned to its elements of " << bytes << " bytes, got the address " << pointer;
  throw std::invalid_argument(message.str());
}

}  // namespace fer_fast
