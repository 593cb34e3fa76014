// A call of the fused op as Python describes it comes in, views that are checked go out: before anything is allocated.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "fer_fast/tokens.h"

namespace fer_fast {

// Memory of somebody else's, on the host or on a card: address, name of the dtype, sizes, strides in elements.
using Memory = std::tuple<uintptr_t, std::string, std::vector<int64_t>, std::vector<int64_t>>;

// Owns none of the memory that it points to.
struct TokenCall {
  std::vector<SourceView> sources;
  int64_t grid;
  DType out_dtype;
  std::array<int64_t, 3> shape;  // [batch, grid * grid, K]

  int64_t source_count() const { return static_cast<int64_t>(sources.size()); }
};

// Throws DTypeError where there is none of that name.
DType out_dtype_named(const std::string& name);

// Throws std::invalid_argument or DTypeError with the argument, the rule and what came.
TokenCall check_call(const std::vector<Memory>& sources, const std::vector<Memory>& means,
                     const std::vector<Memory>& inv_stds, const std::vector<int64_t>& patches, int64_t grid,
                     const std::vector<bool>& reduce_mean, const std::string& out_dtype);

// The class TokenCall of a module; what writes its tokens is the module's own.
pybind11::class_<TokenCall> define_token_call(pybind11::module_& module);

}  // namespace fer_fast
