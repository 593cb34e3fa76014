#include "tensorrt_slot.h"

#include <algorithm>
#include <cstring>

#include "tensorrt_messages.h"
#include "tensorrt_tensors.h"

namespace fer_fast {
namespace {

// Of a batch that is none of these the next larger one runs; what is beyond its images is of an older batch, and goes
// nowhere.
std::vector<int64_t> captured_sizes(int64_t batch) {
  std::vector<int64_t> sizes;
  for (const int64_t size : {1, 8, 32, 128, 256}) {
    if (size < batch) sizes.push_back(size);
  }
  sizes.push_back(batch);
  return sizes;
}

constexpr const char* kFailed = "TensorRT failed";

}  // namespace

Slot::Slot(nvinfer1::ICudaEngine& engine, const Description& description, int64_t batch) : description_(description) {
  const int64_t side = most_side(description);
  const Batch most{nullptr, batch, side, side};
  images_ = card_memory(static_cast<std::size_t>(most.bytes()));
  outputs_ = card_memory(output_bytes(most));
  found_ = pinned_memory(output_bytes(most));
  scratch_bytes_ = static_cast<std::size_t>(engine.getDeviceMemorySizeV2());
  scratch_ = card_memory(scratch_bytes_);
  stream_ = make_stream();
  done_ = make_event();
  check(cudaMemsetAsync(images_.get(), 0, static_cast<std::size_t>(most.bytes()), stream_.get()), "clearing the images");
  check(cudaStreamSynchronize(stream_.get()), "clearing the images");
  if (description_.kind == Kind::kFinder) {
    sizes_.push_back(make_sized(engine, batch));
  } else {
    for (const int64_t count : captured_sizes(batch)) {
      sizes_.push_back(make_sized(engine, count));
      set_shape(*sizes_.back().context, {nullptr, count, side, side});
      capture(sizes_.back());
    }
  }
}

Slot::~Slot() {
  cudaEventSynchronize(done_.get());
  cudaStreamSynchronize(stream_.get());
}

Slot::Sized Slot::make_sized(nvinfer1::ICudaEngine& engine, int64_t count) {
  Sized sized{count, nullptr, nullptr};
  sized.context.reset(engine.createExecutionContext(nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED));
  // It fails for want of memory.
  if (!sized.context) refuse(ErrorCode::kOutOfMemory, "TensorRT could not prepare the model");
  sized.context->setDeviceMemoryV2(scratch_.get(), static_cast<int64_t>(scratch_bytes_));
  if (!sized.context->setTensorAddress(kInput, images_.get()) ||
      !sized.context->setTensorAddress(output_name(description_), outputs_.get())) {
    refuse(ErrorCode::kEngineFailed, "TensorRT could not prepare the model");
  }
  return sized;
}

void Slot::set_shape(nvinfer1::IExecutionContext& context, const Batch& images) const {
  nvinfer1::Dims shape{};
  shape.nbDims = 4;
  shape.d[0] = images.count, shape.d[1] = images.height, shape.d[2] = images.width, shape.d[3] = 3;
  if (!context.setInputShape(kInput, shape)) refuse(ErrorCode::kEngineFailed, "TensorRT does not take the batch");
}

// The first run after a shape was set prepares what the next ones use: it is not captured. An engine that waits within a run
// cannot be; it goes on without a graph, as graphs() says.
void Slot::capture(Sized& sized) {
  const cudaStream_t stream = stream_.get();
  if (!sized.context->enqueueV3(stream)) refuse(ErrorCode::kEngineFailed, kFailed);
  check(cudaStreamSynchronize(stream), kFailed);
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "beginning to capture");
  const bool enqueued = sized.context->enqueueV3(stream);
  cudaGraph_t found = nullptr;
  const cudaError_t status = cudaStreamEndCapture(stream, &found);  // in any case: the stream is of no use before
  const CardOwned<cudaGraph_t, cudaGraphDestroy> captured(found);
  if (!enqueued || status != cudaSuccess || !captured) {
    cudaGetLastError();  // else the next call would tell of it
    Messages::take();
    return;
  }
  cudaGraphExec_t graph = nullptr;
  check(cudaGraphInstantiate(&graph, captured.get(), 0), "preparing a graph");
  sized.graph.reset(graph);
}

void Slot::run(const Batch& images, float* out) {
  const cudaStream_t stream = stream_.get();
  try {
    check(cudaStreamWaitEvent(stream, done_.get(), 0), "waiting for another stream");
    check(cudaMemcpyAsync(images_.get(), images.pixels, static_cast<std::size_t>(images.bytes()), cudaMemcpyHostToDevice,
                          stream),
          "copying the images to the card");
    launch(images, stream);
    check(cudaMemcpyAsync(found_.get(), outputs_.get(), output_bytes(images), cudaMemcpyDeviceToHost, stream),
          "copying what it found from the card");
  } catch (...) {
    cudaStreamSynchronize(stream);  // the pixels are the caller's to free
    throw;
  }
  check(cudaStreamSynchronize(stream), "TensorRT");
  std::memcpy(out, found_.get(), output_bytes(images));
}

void Slot::enqueue(const Batch& images, float* out, cudaStream_t stream) {
  check(cudaStreamWaitEvent(stream, done_.get(), 0), "waiting for another stream");
  try {
    check(cudaMemcpyAsync(images_.get(), images.pixels, static_cast<std::size_t>(images.bytes()),
                          cudaMemcpyDeviceToDevice, stream),
          "copying the images on the card");
    launch(images, stream);
    check(cudaMemcpyAsync(out, outputs_.get(), output_bytes(images), cudaMemcpyDeviceToDevice, stream),
          "copying what it found on the card");
  } catch (...) {
    cudaEventRecord(done_.get(), stream);  // after what was enqueued before it failed
    throw;
  }
  check(cudaEventRecord(done_.get(), stream), "marking a stream");
}

void Slot::launch(const Batch& images, cudaStream_t stream) {
  Sized& sized = *std::find_if(sizes_.begin(), sizes_.end(), [&](const Sized& each) { return each.count >= images.count; });
  if (sized.graph) return check(cudaGraphLaunch(sized.graph.get(), stream), "TensorRT");
  if (description_.kind == Kind::kFinder) set_shape(*sized.context, images);
  if (!sized.context->enqueueV3(stream)) refuse(ErrorCode::kEngineFailed, kFailed);
}

std::string Slot::graphs() const {
  std::string counts;
  for (const Sized& sized : sizes_) {
    if (sized.graph) counts += (counts.empty() ? "" : ",") + std::to_string(sized.count);
  }
  return counts.empty() ? "none" : counts;
}

std::size_t Slot::output_bytes(const Batch& images) const {
  return static_cast<std::size_t>(images.count * description_.outputs(images.height, images.width)) * sizeof(float);
}

}  // namespace fer_fast
