// OpenVINO on the CPU: the graph and its weights come in, an engine of as many requests as keep it busy goes out.
#include <filesystem>
#include <functional>
#include <sstream>
#include <stdexcept>

#include "cells.h"
#include "engine.h"
#include "files.h"
#include "openvino_c.h"
#include "pool.h"
#include "processors.h"

namespace fer_fast {
namespace {

using Core = OpenVinoOwned<ov_core, &OpenVino::core_free>;
using Model = OpenVinoOwned<ov_model, &OpenVino::model_free>;
using CompiledModel = OpenVinoOwned<ov_compiled_model, &OpenVino::compiled_model_free>;
using Request = OpenVinoOwned<ov_infer_request, &OpenVino::infer_request_free>;
using Tensor = OpenVinoOwned<ov_tensor, &OpenVino::tensor_free>;
using Text = OpenVinoOwned<char, &OpenVino::free>;

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// OpenVINO keeps what its last failure said for all threads together: where two fail at once, both may say the same.
void check(int status) {
  if (status == 0) return;
  const Text said(openvino().get_last_err_msg());
  throw Failed(said ? said.get() : "OpenVINO failed with status " + std::to_string(status));
}

// What a function makes, whose last argument says where it goes.
template <typename Owned, typename Function, typename... Arguments>
Owned made_by(Function make, const Arguments&... arguments) {
  typename Owned::pointer made = nullptr;
  check(make(arguments..., &made));
  return Owned(made);
}

// A view: nothing is copied.
Tensor tensor_of(ov_element_type type, std::vector<int64_t> shape, void* data) {
  const ov_shape extents{static_cast<int64_t>(shape.size()), shape.data()};
  return made_by<Tensor>(openvino().tensor_create_from_host_ptr, type, extents, data);
}

bool computes_bf16(const Core& core) {
  const Text found = made_by<Text>(openvino().core_get_property, core.get(), "CPU", "OPTIMIZATION_CAPABILITIES");
  std::istringstream words(found.get());
  for (std::string word; words >> word;) {
    if (word == "BF16") return true;
  }
  return false;
}

// As fer_fast/engines/openvino_graph.py compiles: what int8 leaves is computed in bf16 where the processor has it.
bool runs_bf16(const Core& core, Precision precision) {
  const bool there = computes_bf16(core);
  if (precision == Precision::kBf16 && !there) {
    throw Error(ErrorCode::kDeviceMissing, "precision bf16 is not there: this processor has no bf16 instructions");
  }
  return there && precision != Precision::kFp32;
}

CompiledModel compiled(const Core& core, const Model& model, bool bf16, const Options& options) {
  ov_compiled_model* made = nullptr;
  const std::string threads = std::to_string(options.threads);
  // As many threads as processors stay on one each, if OpenVINO so chooses. Fewer would stay on the first ones, as would
  // those of each other process.
  const bool is_said = options.pinning != Pinning::kAuto || options.threads < allowed_processors();
  const std::size_t texts = is_said ? 8 : 6;  // behind `made`, names, each with its value
  check(openvino().core_compile_model(core.get(), model.get(), "CPU", texts, &made, "PERFORMANCE_HINT",
                                      options.goal == Goal::kLatency ? "LATENCY" : "THROUGHPUT",
                                      "INFERENCE_PRECISION_HINT", bf16 ? "bf16" : "f32", "INFERENCE_NUM_THREADS",
                                      threads.c_str(), "ENABLE_CPU_PINNING",
                                      options.pinning == Pinning::kOn ? "YES" : "NO"));
  return CompiledModel(made);
}

// OpenVINO loads its parts by name, and says that a model or a device is unknown when one was not shipped.
template <typename Do>
auto needing(const std::string& library, Do&& doing) {
  try {
    return doing();
  } catch (const Failed& error) {
    throw Error(ErrorCode::kEngineMissing,
                "OpenVINO does not run the model; is " + library +
                    " of the same version beside libopenvino? It says: " + one_line(error.what()));
  }
}

class OpenVinoEngine : public Engine {
 public:
  // `weights` is what the graph points to, for as long as it lives.
  OpenVinoEngine(const std::string& graph, std::string weights, const Description& description, const Options& options)
      : description_(description),
        weights_(std::move(weights)),
        precision_(description.precision),
        core_(made_by<Core>(openvino().core_create)) {
    const Tensor constants = tensor_of(kOpenVinoU8, {static_cast<int64_t>(weights_.size())}, weights_.data());
    const Model model = needing("libopenvino_ir_frontend", [&] {
      return made_by<Model>(openvino().core_read_model_from_memory_buffer, core_.get(), graph.data(), graph.size(),
                            constants.get());
    });
    const bool bf16 = needing("libopenvino_intel_cpu_plugin", [&] { return runs_bf16(core_, options.precision); });
    compiled_ = compiled(core_, model, bf16, options);
    if (precision_ == "fp32" || precision_ == "fp16") {
      precision_ = property("INFERENCE_PRECISION_HINT") == "bf16" ? "bf16" : "fp32";
    }
    streams_ = std::stoi(property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"));
    threads_ = "threads=" + property("INFERENCE_NUM_THREADS") +
               "\npinning=" + (property("ENABLE_CPU_PINNING") == "YES" ? "on" : "off") + "\n";
    // OpenVINO computes on the thread that asks, to which its CPUStreamsExecutor gives one of the streams for good: two may have
    // the same. With one request more than streams they leave none idle.
    const int requests = streams_ == 1 ? 1 : streams_ + 1;
    for (int i = 0; i < requests; ++i) {
      requests_.add(made_by<Request>(openvino().compiled_model_create_infer_request, compiled_.get()));
    }
  }

  int streams() const override { return streams_; }

  void infer(const Batch& images, float* out) override {
    const int64_t outputs = description_.outputs(images.height, images.width);
    std::vector<int64_t> shape{images.count, outputs};
    if (description_.kind == Kind::kFinder) shape = {images.count, outputs / kFaceColumns, kFaceColumns};
    Pool<Request>::Lease request(requests_);
    // Neither is copied: OpenVINO reads the pixels and writes the numbers where they are. It takes no const.
    const Tensor pixels =
        tensor_of(kOpenVinoU8, {images.count, images.height, images.width, 3}, const_cast<uint8_t*>(images.pixels));
    const Tensor numbers = tensor_of(kOpenVinoF32, shape, out);
    check(openvino().infer_request_set_input_tensor(request->get(), pixels.get()));
    check(openvino().infer_request_set_output_tensor(request->get(), numbers.get()));
    check(openvino().infer_request_infer(request->get()));
  }

  std::string describe() const override {
    return "engine=openvino\nversion=" + openvino().version + "\ndevice=cpu\nprecision=" + precision_ +
           "\nstreams=" + std::to_string(streams_) + "\n" + threads_;
  }

 private:
  std::string property(const char* name) const {
    return made_by<Text>(openvino().compiled_model_get_property, compiled_.get(), name).get();
  }

  Description description_;
  std::string weights_;
  std::string precision_, threads_;
  Core core_;
  CompiledModel compiled_;
  int streams_ = 0;
  Pool<Request> requests_;
};

// Some systems' copies have names in upper case.
std::string weights_beside(const std::string& model) {
  const std::filesystem::path upper = std::filesystem::path(model).replace_extension(".BIN");
  const std::filesystem::path lower = std::filesystem::path(model).replace_extension(".bin");
  std::error_code error;
  return (!std::filesystem::exists(lower, error) && std::filesystem::exists(upper, error) ? upper : lower).string();
}

void check_device(const Options& options) {
  if (options.device == "auto" || options.device == "cpu") return;
  throw Error(ErrorCode::kDeviceMissing, "device must be auto or cpu for an .xml, not '" + options.device + "'");
}

// `weights` gives them once it is known how many there must be: what is beside a graph may be of any size.
OpenedModel opened(const std::string& graph, const std::string& name, Kind kind, const Options& options,
                   const std::function<std::string(const Sum&)>& weights) {
  const SealedDescription sealed = read_sealed_graph(graph, name);
  check_kind(kind, sealed.description, name);
  OpenedModel opened;
  opened.description = sealed.description;
  opened.batch_size = batch_size_of(options, sealed.description);  // before seconds are spent on compiling
  std::string bytes = weights(sealed.beside);
  check_bytes(sealed.beside, bytes, name);
  opened.engine = std::make_unique<OpenVinoEngine>(graph, std::move(bytes), opened.description, options);
  return opened;
}

}  // namespace

OpenedModel open_openvino(const std::string& model, Kind kind, const Options& options) {
  check_device(options);
  return opened(read_file(model, kMostText), model, kind, options, [&](const Sum& wanted) {
    const std::string beside = weights_beside(model);
    check_size(wanted, file_size(beside), model);
    return read_file(beside);
  });
}

OpenedModel open_model(const ModelBytes& model, Kind kind, const Options& options) {
  check_device(options);
  if (model.graph == nullptr || model.weights == nullptr) {
    throw Error(ErrorCode::kInvalidArgument, "graph and weights of a model in memory must not be null");
  }
  const std::string name = "in memory";
  return opened({static_cast<const char*>(model.graph), model.graph_size}, name, kind, options, [&](const Sum& wanted) {
    check_size(wanted, model.weights_size, name);
    return std::string(static_cast<const char*>(model.weights), model.weights_size);
  });
}

}  // namespace fer_fast
