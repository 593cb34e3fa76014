// OpenVINO on the CPU: the graph and its weights come in, an engine of as many requests as keep it busy goes out.
#include <algorithm>
#include <filesystem>
#include <openvino/openvino.hpp>

#include "cells.h"
#include "engine.h"
#include "files.h"
#include "pool.h"

namespace fer_fast {
namespace {

bool computes_bf16(ov::Core& core) {
  const auto found = core.get_property("CPU", ov::device::capabilities);
  return std::find(found.begin(), found.end(), ov::device::capability::BF16) != found.end();
}

// As fer_fast/engines/openvino_graph.py compiles: what int8 leaves is computed in bf16 where the processor has it.
ov::AnyMap properties_of(ov::Core& core, const Options& options) {
  const bool there = computes_bf16(core);
  if (options.precision == Precision::kBf16 && !there) {
    throw Error(ErrorCode::kDeviceMissing, "precision bf16 is not there: this processor has no bf16 instructions");
  }
  const bool bf16 = there && options.precision != Precision::kFp32;
  const bool soon = options.goal == Goal::kLatency;
  return {ov::hint::performance_mode(soon ? ov::hint::PerformanceMode::LATENCY : ov::hint::PerformanceMode::THROUGHPUT),
          ov::hint::inference_precision(bf16 ? ov::element::bf16 : ov::element::f32),
          ov::inference_num_threads(options.threads)};
}

// OpenVINO loads its parts by name, and says that a model or a device is unknown when one was not shipped.
template <typename Do>
auto needing(const std::string& library, Do&& doing) {
  try {
    return doing();
  } catch (const ov::Exception& error) {
    throw Error(ErrorCode::kEngineMissing, "OpenVINO does not run the model; is " + library +
                                               " of the same version beside libopenvino? It says: " + one_line(error.what()));
  }
}

class OpenVinoEngine : public Engine {
 public:
  // `weights` is what the graph points to, for as long as it lives.
  OpenVinoEngine(const std::string& graph, std::string weights, const Description& description, const Options& options)
      : description_(description), weights_(std::move(weights)), precision_(description.precision) {
    const ov::Tensor constants(ov::element::u8, {weights_.size()}, weights_.data());
    const std::shared_ptr<ov::Model> model =
        needing("libopenvino_ir_frontend", [&] { return core_.read_model(graph, constants); });
    const ov::AnyMap properties =
        needing("libopenvino_intel_cpu_plugin", [&] { return properties_of(core_, options); });
    compiled_ = core_.compile_model(model, "CPU", properties);
    if (precision_ == "fp32" || precision_ == "fp16") {
      precision_ = compiled_.get_property(ov::hint::inference_precision) == ov::element::bf16 ? "bf16" : "fp32";
    }
    const auto streams = compiled_.get_property(ov::optimal_number_of_infer_requests);
    for (uint32_t i = 0; i < streams; ++i) requests_.add(compiled_.create_infer_request());
    streams_ = static_cast<int>(streams);
  }

  int streams() const override { return streams_; }

  void infer(const Batch& images, float* out) override {
    const auto extent = [](int64_t number) { return static_cast<std::size_t>(number); };
    const std::size_t count = extent(images.count), outputs = extent(description_.outputs(images.height, images.width));
    const bool finds = description_.kind == Kind::kFinder;
    Pool<ov::InferRequest>::Lease request(requests_);
    // Neither is copied: OpenVINO reads the pixels and writes the numbers where they are. It takes no const.
    request->set_input_tensor(ov::Tensor(ov::element::u8, {count, extent(images.height), extent(images.width), 3},
                                         const_cast<uint8_t*>(images.pixels)));
    const ov::Shape shape = finds ? ov::Shape{count, outputs / kFaceColumns, kFaceColumns} : ov::Shape{count, outputs};
    request->set_output_tensor(ov::Tensor(ov::element::f32, shape, out));
    request->infer();
  }

  std::string describe() const override {
    return "engine=openvino\nversion=" + std::string(ov::get_openvino_version().buildNumber) + "\ndevice=cpu\nprecision=" +
           precision_ + "\nstreams=" + std::to_string(streams_) + "\n";
  }

 private:
  Description description_;
  std::string weights_;
  std::string precision_;
  ov::Core core_;
  ov::CompiledModel compiled_;
  int streams_ = 0;
  Pool<ov::InferRequest> requests_;
};

}  // namespace

OpenedModel open_openvino(const std::string& model, Kind kind, const Options& options) {
  if (options.device != "auto" && options.device != "cpu") {
    throw Error(ErrorCode::kDeviceMissing, "device must be auto or cpu for an .xml, not '" + options.device + "'");
  }
  const std::string graph = read_file(model, kMostText);
  const SealedDescription sealed = read_sealed_graph(graph, model);
  check_kind(kind, sealed.description, model);
  OpenedModel opened;
  opened.description = sealed.description;
  opened.batch_size = batch_size_of(options, sealed.description);  // before seconds are spent on compiling
  const std::string beside = std::filesystem::path(model).replace_extension(".bin").string();
  check_size(sealed.beside, file_size(beside), model);
  std::string weights = read_file(beside);
  check_bytes(sealed.beside, weights, model);
  opened.engine = std::make_unique<OpenVinoEngine>(graph, std::move(weights), opened.description, options);
  return opened;
}

}  // namespace fer_fast
