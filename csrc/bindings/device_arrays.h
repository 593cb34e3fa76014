// Arrays on a card, of whatever library: __dlpack__ or __cuda_array_interface__ come in, what they say of their memory
// goes out.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "token_call.h"

namespace fer_fast {

// Arrays that are borrowed for a call: what keeps each alive, and its memory.
class DeviceArrays {
 public:
  // `stream` is where they will be read: their producers are told, or have written on it. `device` is the number of its
  // card; -1: that of the first array that says one.
  DeviceArrays(uintptr_t stream, int device) : stream_(stream), device_(device) {}

  // Throws std::invalid_argument or DTypeError, naming the argument.
  Memory memory(const pybind11::handle& array, const std::string& name);
  std::vector<Memory> memories(const pybind11::sequence& arrays, const std::string& name);

  // Of all that were given so far; -1: none was.
  int device() const { return device_; }

 private:
  // All are on one.
  void check_device(int device, const std::string& name);
  Memory by_dlpack(const pybind11::handle& array, const std::string& name);
  Memory by_interface(const pybind11::handle& array, const std::string& name);

  uintptr_t stream_;
  int device_;
  std::vector<pybind11::object> kept_;
};

// A call on arrays of a card, checked before it is launched.
struct DeviceCall {
  DeviceArrays arrays;
  TokenCall call;
  void* out;
};

// `out` is [batch, grid * grid, K], contiguous; its dtype is that of the tokens; `device` as in DeviceArrays. Throws as
// check_call does.
DeviceCall check_device_call(const pybind11::sequence& sources, const pybind11::sequence& means,
                             const pybind11::sequence& inv_stds, const std::vector<int64_t>& patches, int64_t grid,
                             const std::vector<bool>& reduce_mean, const pybind11::handle& out, uintptr_t stream,
                             int device = -1);

}  // namespace fer_fast
