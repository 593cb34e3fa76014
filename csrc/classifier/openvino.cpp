// OpenVINO on the CPU: the graph and its weights come in, an engine of as many requests as keep it busy goes out.
#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <openvino/openvino.hpp>

#include "engine.h"
#include "files.h"

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

class OpenVinoEngine : public Engine {
 public:
  // `weights` is what the graph points to, for as long as it lives.
  OpenVinoEngine(const std::string& graph, std::string weights, const Description& description, const Options& options)
      : classes_(static_cast<int64_t>(description.classes.size())), side_(description.image_size),
        weights_(std::move(weights)), precision_(description.precision) {
    const ov::Tensor constants(ov::element::u8, {weights_.size()}, weights_.data());
    const std::shared_ptr<ov::Model> model = core_.read_model(graph, constants);
    const ov::AnyMap properties = properties_of(core_, options);
    compiled_ = core_.compile_model(model, "CPU", properties);
    if (precision_ == "fp32" || precision_ == "fp16") {
      precision_ = compiled_.get_property(ov::hint::inference_precision) == ov::element::bf16 ? "bf16" : "fp32";
    }
    const auto streams = compiled_.get_property(ov::optimal_number_of_infer_requests);
    for (uint32_t i = 0; i < streams; ++i) idle_.push_back(compiled_.create_infer_request());
    streams_ = static_cast<int>(streams);
  }

  int streams() const override { return streams_; }

  void infer(const uint8_t* images, int64_t count, float* probabilities) override {
    const auto extent = [](int64_t number) { return static_cast<std::size_t>(number); };
    Lease lease(*this);
    // Neither is copied: OpenVINO reads the pixels and writes the probabilities where they are. It takes no const.
    lease.request.set_input_tensor(
        ov::Tensor(ov::element::u8, {extent(count), extent(side_), extent(side_), 3}, const_cast<uint8_t*>(images)));
    lease.request.set_output_tensor(ov::Tensor(ov::element::f32, {extent(count), extent(classes_)}, probabilities));
    lease.request.infer();
  }

  std::string describe() const override {
    return "engine=openvino\nversion=" + std::string(ov::get_openvino_version().buildNumber) + "\ndevice=cpu\nprecision=" +
           precision_ + "\nstreams=" + std::to_string(streams_) + "\n";
  }

 private:
  // A request of one's own, waited for if all are taken.
  struct Lease {
    explicit Lease(OpenVinoEngine& engine) : engine(engine) {
      std::unique_lock lock(engine.mutex_);
      engine.returned_.wait(lock, [&] { return !engine.idle_.empty(); });
      request = std::move(engine.idle_.back());
      engine.idle_.pop_back();
    }
    ~Lease() {
      {
        const std::lock_guard lock(engine.mutex_);
        engine.idle_.push_back(std::move(request));
      }
      engine.returned_.notify_one();
    }
    OpenVinoEngine& engine;
    ov::InferRequest request;
  };

  int64_t classes_, side_;
  std::string weights_;
  std::string precision_;
  ov::Core core_;
  ov::CompiledModel compiled_;
  int streams_ = 0;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<ov::InferRequest> idle_;
};

}  // namespace

OpenedModel open_openvino(const std::string& model, const Options& options) {
  if (options.device != "auto" && options.device != "cpu") {
    throw Error(ErrorCode::kDeviceMissing, "device must be auto or cpu for an .xml, not '" + options.device + "'");
  }
  const std::string graph = read_file(model);
  const SealedGraph sealed = read_sealed(graph, model);
  batch_size_of(options, sealed.description);  // before seconds are spent on compiling
  const std::string beside = std::filesystem::path(model).replace_extension(".bin").string();
  check_weights_size(sealed, file_size(beside), model);
  std::string weights = read_file(beside);
  check_weights(sealed, weights, model);
  OpenedModel opened;
  opened.description = sealed.description;
  opened.engine = std::make_unique<OpenVinoEngine>(graph, std::move(weights), opened.description, options);
  return opened;
}

}  // namespace fer_fast
