// libtorch: an AOTInductor package comes in, an engine for the device that it was exported on goes out.
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/version.h>

#include <fstream>
#include <set>
#include <sstream>

#include "engine.h"
#include "files.h"
#include "pool.h"

namespace fer_fast {
namespace {

using Loader = torch::inductor::AOTIModelPackageLoader;
using Metadata = std::unordered_map<std::string, std::string>;

[[noreturn]] void refuse(ErrorCode code, const std::string& what, const c10::Error& error) {
  const bool full = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr;
  throw Error(full ? ErrorCode::kOutOfMemory : code, what + ": " + one_line(error.what_without_backtrace()));
}

class TorchEngine : public Engine {
 public:
  TorchEngine(const std::string& model, const Description& description, at::Device device, int streams)
      : description_(description), device_(device), streams_(streams),
        loader_(model, "model", false, static_cast<std::size_t>(streams), device.is_cuda() ? device.index() : -1) {
    for (int i = 0; i < streams; ++i) turns_.add({});
  }

  int streams() const override { return streams_; }

  void infer(const Batch& images, float* out) override {
    const c10::InferenceMode guard;
    const c10::DeviceGuard on_device(device_);
    const int64_t outputs = description_.outputs(images.height, images.width);
    // from_blob takes no const; nothing writes to it.
    const at::Tensor pixels =
        at::from_blob(const_cast<uint8_t*>(images.pixels), {images.count, images.height, images.width, 3}, at::kByte);
    const Pool<Turn>::Lease turn(turns_);
    try {
      const std::vector<at::Tensor> found = loader_.run({pixels.to(device_)});
      at::from_blob(out, {images.count, outputs}, at::kFloat).copy_(found.at(0).flatten(1));
    } catch (const c10::Error& error) {
      refuse(ErrorCode::kEngineFailed, "libtorch failed", error);
    }
  }

  std::string describe() const override {
    return "engine=libtorch\nversion=" TORCH_VERSION "\ndevice=" + device_.str() + "\nprecision=" +
           description_.precision + "\nstreams=" + std::to_string(streams_) + "\n";
  }

 private:
  // Of the loader's models, which it lends by itself, and not to the one that waits longest.
  struct Turn {};

  Description description_;
  at::Device device_;
  int streams_;
  Loader loader_;
  Pool<Turn> turns_;
};

// The device that is asked for, if it is what the package was compiled for; cuda is the first card.
at::Device device_of(const std::string& model, const Metadata& metadata, const std::string& asked) {
  const auto found = metadata.find("AOTI_DEVICE_KEY");
  const std::string kind = found == metadata.end() ? "cpu" : found->second;
  const int card = card_of(asked);
  if (kind == "cuda" && card >= 0) return {at::kCUDA, static_cast<at::DeviceIndex>(card)};
  if (kind != "cuda" && (asked == "auto" || asked == kind)) return at::Device(kind);
  throw Error(ErrorCode::kDeviceMissing, "device must be auto or " + kind + " for '" + model +
                                             "', which was exported on such a machine, not '" + asked + "'");
}

void check_device(at::Device device) {
  try {
    at::empty({1}, at::TensorOptions(device));
  } catch (const c10::Error& error) {
    refuse(ErrorCode::kDeviceMissing, "device '" + device.str() + "' is not there", error);
  }
}

// The package holds machine code: an instruction that the processor lacks would end the program.
void check_processor(const std::string& model, const Description& description) {
  std::set<std::string> there;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line, word; std::getline(file, line);) {
    if (line.rfind("flags", 0) != 0 && line.rfind("Features", 0) != 0) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    while (words >> word) there.insert(word);
    break;  // of the first core
  }
  for (const std::string& needed : description.instructions) {
    if (there.count(needed) != 0) continue;
    throw Error(ErrorCode::kModelUnsupported,
                "the model '" + model + "' was exported for a processor with " + needed + ": export it on this one");
  }
}

}  // namespace

OpenedModel open_torch(const std::string& model, Kind kind, const Options& options) {
  file_size(model);  // libtorch does not tell a missing file from a damaged one
  check_is_automatic(options, ".pt2");
  Metadata metadata;
  try {
    metadata = Loader::load_metadata_from_package(model, "model");
  } catch (const std::bad_alloc&) {
    throw;
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
  check_kind(kind, opened.description, model);
  opened.batch_size = batch_size_of(options, opened.description);
  const at::Device device = device_of(model, metadata, options.device);
  check_device(device);
  check_processor(model, opened.description);
  try {
    // One call computes on all of torch's threads, which are the process's own matter; a card takes two.
    opened.engine = std::make_unique<TorchEngine>(model, opened.description, device, device.is_cuda() ? 2 : 1);
  } catch (const c10::Error& error) {
    refuse(ErrorCode::kModelDamaged, "the model '" + model + "' is damaged", error);
  }
  return opened;
}

}  // namespace fer_fast
