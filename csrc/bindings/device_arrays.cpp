#include "device_arrays.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <utility>

#include "cuda_driver.h"
#include "fail.h"

namespace py = pybind11;

namespace fer_fast {
namespace {

// DLPack's own structures (dlpack.h, version 0 of the ABI, which every producer has).
struct DLTensor {
  void* data;
  int32_t device_type;
  int32_t device_id;
  int32_t ndim;
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
  int64_t* shape;
  int64_t* strides;  // in elements; null: contiguous
  uint64_t byte_offset;
};

// What __cuda_array_interface__ has as data.
using AddressAndReadOnly = std::pair<uintptr_t, bool>;

constexpr int kDLCuda = 2;
constexpr int kDLCudaManaged = 13;

std::vector<int64_t> contiguous(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> strides(sizes.size());
  int64_t next = 1;
  for (size_t axis = sizes.size(); axis-- > 0; next *= sizes[axis]) strides[axis] = next;
  return strides;
}

// Of a side of one, and of an array without elements, strides say nothing: libraries write what they like there.
bool is_contiguous(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  const std::vector<int64_t> wanted = contiguous(sizes);
  const bool empty = std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
  bool same = strides.size() == sizes.size();
  for (size_t axis = 0; same && !empty && axis < sizes.size(); ++axis) {
    same = sizes[axis] == 1 || strides[axis] == wanted[axis];
  }
  return same;
}

std::string dlpack_dtype(const DLTensor& tensor, const std::string& name) {
  const bool scalar = tensor.lanes == 1;
  if (scalar && tensor.code == 2 && tensor.bits == 32) return "float32";
  if (scalar && tensor.code == 2 && tensor.bits == 16) return "float16";
  if (scalar && tensor.code == 4 && tensor.bits == 16) return "bfloat16";
  if (scalar && tensor.code == 1 && tensor.bits == 8) return "uint8";
  fail<DTypeError>(name, ": must be float32, float16, bfloat16 or uint8, got DLPack's type (", int{tensor.code}, ", ",
                   int{tensor.bits}, ", ", tensor.lanes, ")");
}

// The interface has no bfloat16.
std::string interface_dtype(const std::string& type, const std::string& name) {
  if (type == "<f4") return "float32";
  if (type == "<f2") return "float16";
  if (type == "|u1") return "uint8";
  fail<DTypeError>(name, ": must be float32 (<f4), float16 (<f2) or uint8 (|u1), got ", type);
}

int64_t itemsize(const std::string& dtype) { return dtype == "float32" ? 4 : dtype == "uint8" ? 1 : 2; }

// 0 and 1 are both the legacy default stream.
uintptr_t stream_number(uintptr_t stream) { return stream == 0 ? 1 : stream; }

}  // namespace

Memory DeviceArrays::memory(const py::handle& array, const std::string& name) {
  try {
    if (py::hasattr(array, "__dlpack__") && py::hasattr(array, "__dlpack_device__")) return by_dlpack(array, name);
    if (py::hasattr(array, "__cuda_array_interface__")) return by_interface(array, name);
  } catch (const py::cast_error&) {
    fail<DTypeError>(name, ": what it says of its memory must be as DLPack or __cuda_array_interface__ has it");
  }
  fail<DTypeError>(name, ": must have __dlpack__ or __cuda_array_interface__, got ",
                   std::string(py::str(py::type::of(array).attr("__name__"))));
}

std::vector<Memory> DeviceArrays::memories(const py::sequence& arrays, const std::string& name) {
  std::vector<Memory> found;
  for (size_t i = 0; i < arrays.size(); ++i) {
    found.push_back(memory(arrays[i], name + "[" + std::to_string(i) + "]"));
  }
  return found;
}

Memory DeviceArrays::by_dlpack(const py::handle& array, const std::string& name) {
  using namespace py::literals;
  const auto [type, device] = array.attr("__dlpack_device__")().cast<std::pair<int, int>>();
  if (type != kDLCuda && type != kDLCudaManaged) {
    fail(name, ": must be on a card, got DLPack's device type ", type);
  }
  check_device(device, name);
  // Its producer sees to it that what is read on that stream was written.
  const py::object held = array.attr("__dlpack__")("stream"_a = stream_number(stream_));
  if (!PyCapsule_IsValid(held.ptr(), "dltensor"))
    fail<DTypeError>(name, ": __dlpack__ must return a capsule \"dltensor\"");
  // Not renamed: the capsule itself gives the memory back when the call is over.
  const auto& tensor = *static_cast<const DLTensor*>(PyCapsule_GetPointer(held.ptr(), "dltensor"));
  kept_.push_back(held);
  const std::vector<int64_t> sizes(tensor.shape, tensor.shape + tensor.ndim);
  const auto strides = tensor.strides == nullptr ? contiguous(sizes)
                                                 : std::vector<int64_t>(tensor.strides, tensor.strides + tensor.ndim);
  return {reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset, dlpack_dtype(tensor, name), sizes, strides};
}

void DeviceArrays::check_device(int device, const std::string& name) {
  if (device_ >= 0 && device != device_) {
    fail(name, ": must be on the card of the call, ", device_, ", got ", device);
  }
  device_ = device;
}

Memory DeviceArrays::by_interface(const py::handle& array, const std::string& name) {
  const py::object said = array.attr("__cuda_array_interface__");
  if (!py::isinstance<py::dict>(said)) throw py::cast_error("no dict");
  const auto about = py::reinterpret_borrow<py::dict>(said);
  for (const char* key : {"typestr", "shape", "data"}) {
    if (!about.contains(key)) fail<DTypeError>(name, ": its __cuda_array_interface__ must have ", key);
  }
  if (about.contains("mask") && !about["mask"].is_none()) fail(name, ": must have no mask");
  const std::string dtype = interface_dtype(about["typestr"].cast<std::string>(), name);
  const auto sizes = about["shape"].cast<std::vector<int64_t>>();
  const auto address = about["data"].cast<AddressAndReadOnly>().first;
  if (address != 0) {                     // an array without elements has none
    const int device = card_of(address);  // the interface does not say
    if (device < 0) fail(name, ": must be on a card, got the address ", address);
    check_device(device, name);
  }
  if (about.contains("stream") && !about["stream"].is_none()) {
    const auto written = about["stream"].cast<uintptr_t>();
    if (stream_number(written) != stream_number(stream_)) {
      fail(name, ": must be written on the stream of the call, ", stream_, ", got ", written);
    }
  }
  std::vector<int64_t> strides = contiguous(sizes);
  if (about.contains("strides") && !about["strides"].is_none()) {
    strides = about["strides"].cast<std::vector<int64_t>>();  // in bytes
    for (int64_t& stride : strides) {
      if (stride % itemsize(dtype) != 0) fail(name, ": strides must be whole elements");
      stride /= itemsize(dtype);
    }
  }
  return {address, dtype, sizes, strides};
}

DeviceCall check_device_call(const py::sequence& sources, const py::sequence& means, const py::sequence& inv_stds,
                             const std::vector<int64_t>& patches, int64_t grid, const std::vector<bool>& reduce_mean,
                             const py::handle& out, uintptr_t stream, int device) {
  DeviceArrays arrays(stream, device);
  const auto pixels = arrays.memories(sources, "sources");
  const auto mean = arrays.memories(means, "means");
  const auto inv_std = arrays.memories(inv_stds, "inv_stds");
  const auto [address, dtype, sizes, strides] = arrays.memory(out, "out");
  TokenCall call = check_call(pixels, mean, inv_std, patches, grid, reduce_mean, dtype);
  const std::vector<int64_t> shape(call.shape.begin(), call.shape.end());
  const bool writeable = !py::hasattr(out, "__cuda_array_interface__") ||
                         !out.attr("__cuda_array_interface__")["data"].cast<AddressAndReadOnly>().second;
  if (sizes != shape || !is_contiguous(sizes, strides) || !writeable) {
    fail("out: must be writeable, contiguous [", shape[0], ", ", shape[1], ", ", shape[2], "]");
  }
  return {std::move(arrays), std::move(call), reinterpret_cast<void*>(address)};
}

}  // namespace fer_fast
