// One model compiled for one machine: pixels [batch, S, S, 3] come in, probabilities [batch, classes] go out.
#pragma once

#include <memory>

#include "description.h"
#include "fer_fast/classifier.h"

namespace fer_fast {

class Engine {
 public:
  virtual ~Engine() = default;
  // Calls at once that keep the machine busy.
  virtual int streams() const = 0;
  // 1 <= count <= the batch size that it was opened for; from any number of threads. Throws Error.
  virtual void infer(const uint8_t* images, int64_t count, float* probabilities) = 0;
  // name=value lines.
  virtual std::string describe() const = 0;
};

// A description, and what runs it.
struct OpenedModel {
  Description description;
  int64_t batch_size;  // that is run: at most the description's
  std::unique_ptr<Engine> engine;
};

// By the file's suffix; options have been checked, but for the batch size. Throws Error.
OpenedModel open_openvino(const std::string& model, const Options& options);
OpenedModel open_tensorrt(const std::string& model, const Options& options);
OpenedModel open_torch(const std::string& model, const Options& options);

// The batch size that is run: what was asked for, at most what the model was exported for. Throws Error.
int64_t batch_size_of(const Options& options, const Description& description);

// The card that a device names: 0 for auto and cuda, N for cuda:N, -1 for anything else.
int card_of(const std::string& device);

// An engine's text, whose lines become one: what() is a sentence.
std::string one_line(const std::string& text);

// Of a model whose precision the export fixed. Throws Error.
void check_precision_is_auto(const Options& options, const std::string& suffix);

}  // namespace fer_fast
