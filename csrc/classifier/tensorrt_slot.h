// What one batch at a time needs on a card: memory, a stream, and TensorRT's contexts with what was captured of them.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "card.h"
#include "engine.h"

namespace fer_fast {

// Of the card that is current, as every call of it. One thread at a time has it; what it enqueued may still run then: what
// comes later waits for that on the card.
class Slot {
 public:
  // For batches of up to so many images. A classifier's run as graphs, one for each of some batch sizes, captured now; a
  // finder's images are of too many sizes for that.
  Slot(nvinfer1::ICudaEngine& engine, const Description& description, int64_t batch);
  Slot(const Slot&) = delete;
  ~Slot();

  // From pinned memory of the host; `out` may be any. Waits. Throws Error.
  void run(const Batch& images, float* out);
  // The same from and to memory of the card, on a stream of the caller's; does not wait.
  void enqueue(const Batch& images, float* out, cudaStream_t stream);

  // The batch sizes that were captured, 1,8,32, or none.
  std::string graphs() const;

 private:
  // For one batch size, or, of a finder, for any.
  struct Sized {
    int64_t count;
    std::unique_ptr<nvinfer1::IExecutionContext> context;
    Graph graph;
  };

  Sized make_sized(nvinfer1::ICudaEngine& engine, int64_t count);
  void set_shape(nvinfer1::IExecutionContext& context, const Batch& images) const;
  void capture(Sized& sized);
  void launch(const Batch& images, cudaStream_t stream);
  std::size_t output_bytes(const Batch& images) const;

  const Description& description_;
  CardMemory images_, outputs_;
  PinnedMemory found_;
  CardMemory scratch_;  // all contexts', of which one runs at a time
  std::size_t scratch_bytes_;
  Stream stream_;
  Event done_;  // with what callers' streams were given last
  std::vector<Sized> sizes_;
};

}  // namespace fer_fast
