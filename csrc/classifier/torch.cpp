// libtorch: an AOTInductor package comes in, an engine for the device that it was exported on goes out.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/version.h>

#include <filesystem>

#include "engine.h"
#include "files.h"

namespace fer_fast {
namespace {

using Loader = torch::inductor::AOTIModelPackageLoader;
using Metadata = std::unordered_map<std::string, std::string>;

class TorchEngine : public Engine {
 public:
  TorchEngine(const std::string& model, const Description& description, at::Device device, int streams)
      : description_(description), device_(device), streams_(streams),
        loader_(model, "model", false, static_cast<std::size_t>(streams), device.is_cuda() ? device.index() : -1) {}

  int streams() const override { return streams_; }

  void infer(const uint8_t* images, int64_t count, float* probabilities) override {
    const c10::InferenceMode guard;
    const int64_t side = description_.image_size, classes = static_cast<int64_t>(description_.classes.size());
    // from_blob takes no const; nothing writes to it.
    const at::Tensor pixels = at::from_blob(const_cast<uint8_t*>(images), {count, side, side, 3}, at::kByte);
    const std::vector<at::Tensor> found = loader_.run({pixels.to(device_)});
    at::from_blob(probabilities, {count, classes}, at::kFloat).copy_(found.at(0));
  }

  std::string describe() const override {
    return "engine=libtorch\nversion=" TORCH_VERSION "\ndevice=" + device_.str() + "\nprecision=" +
           description_.precision + "\nstreams=" + std::to_string(streams_) + "\n";
  }

 private:
  Description description_;
  at::Device device_;
  int streams_;
  Loader loader_;
};

// The device that is asked for, if it is what the package was compiled for.
at::Device device_of(const std::string& model, const Metadata& metadata, const std::string& asked) {
  const auto found = metadata.find("AOTI_DEVICE_KEY");
  const std::string kind = found == metadata.end() ? "cpu" : found->second;
  const std::string name = asked == "auto" ? kind : asked;
  if (name != kind && name.rfind(kind + ":", 0) != 0) {
    throw Error(ErrorCode::kDeviceMissing, "device must be auto or " + kind + " for '" + model +
                                               "', which was exported on such a machine, not '" + asked + "'");
  }
  try {
    at::Device device(name);
    if (device.is_cuda()) {
      if (!device.has_index()) device.set_index(0);
      at::empty({1}, at::TensorOptions(device));  // throws without the card
    }
    return device;
  } catch (const c10::Error& error) {
    throw Error(ErrorCode::kDeviceMissing, "device '" + name + "' is not there: " + error.what_without_backtrace());
  }
}

// The package holds machine code: an instruction that the processor lacks would end the program.
void check_processor(const std::string& model, const Metadata& metadata) {
  const auto found = metadata.find("AOTI_CPU_ISA");
  if (found == metadata.end()) return;
#if defined(__x86_64__)
  const std::string& needed = found->second;  // such as AVX512 AVX512_VNNI
  bool there = true;
  if (needed.find("AVX512") != std::string::npos) {
    there = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl");
  } else if (needed.find("AVX2") != std::string::npos) {
    there = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
  if (there) return;
  throw Error(ErrorCode::kModelUnsupported,
              "the model '" + model + "' was exported for a processor with " + needed + ": export it on this one");
#endif
}

}  // namespace

OpenedModel open_torch(const std::string& model, const Options& options) {
  file_size(model);  // libtorch does not tell a missing file from a damaged one
  check_precision_is_auto(options, ".pt2");
  Metadata metadata;
  try {
    metadata = Loader::load_metadata_from_package(model, "model");
  } catch (const std::exception&) {
    throw Error(ErrorCode::kModelDamaged,
                "the model '" + model + "' is damaged, or was not written by fer-fast export --format pt2");
  }
  const auto text = metadata.find("fer_fast");
  if (text == metadata.end()) {
    throw Error(ErrorCode::kModelUnsupported, "the model '" + model + "' was not written by fer-fast export --format pt2");
  }
  OpenedModel opened;
  opened.description = parse_description(text->second, model);
  batch_size_of(options, opened.description);
  const at::Device device = device_of(model, metadata, options.device);
  check_processor(model, metadata);
  try {
    // One call computes on all of torch's threads, which are the process's own matter; a card takes two.
    opened.engine = std::make_unique<TorchEngine>(model, opened.description, device, device.is_cuda() ? 2 : 1);
  } catch (const c10::Error& error) {
    throw Error(ErrorCode::kModelDamaged,
                "the model '" + model + "' is damaged: " + error.what_without_backtrace());
  }
  return opened;
}

}  // namespace fer_fast
