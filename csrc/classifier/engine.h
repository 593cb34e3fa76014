// One model compiled for one machine: pixels [batch, height, width, 3] come in; probabilities [batch, classes] go out, or
// what a finder says of the cells, [batch, cells, kFaceColumns].
#pragma once

#include "description.h"
#include "fer_fast/classifier.h"
#include "owned.h"
#include "workspace.h"

namespace fer_fast {

// RGB images without gaps; a classifier's are of its size, the sides of a finder's are multiples of its least.
struct Batch {
  const uint8_t* pixels;
  int64_t count, height, width;

  int64_t bytes() const { return count * height * width * 3; }
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Calls at once that keep the machine busy.
  virtual int streams() const = 0;
  // 1 <= count <= the batch size that it was opened for; from any number of threads. Throws Error.
  virtual void infer(const Batch& images, float* out) = 0;
  // The same from and to memory of the engine's card, on a stream of it; returns before it is done. An engine that computes
  // elsewhere throws Error.
  virtual void enqueue(const Batch& images, float* out, void* stream);
  // name=value lines.
  virtual std::string describe() const = 0;
  // Where a batch's pixels are best: any will do.
  virtual Buffer buffer(std::size_t bytes) const;
};

// The workspace's batch, of as many bytes at least.
uint8_t* batch_in(Workspace& space, const Engine& engine, int64_t bytes);

// A description, and what runs it.
struct OpenedModel {
  Description description;
  int64_t batch_size;  // that is run: at most the description's
  Owned<Engine> engine;
};

// What is wrong with them whatever the model, Error says; threads become those that there are, the names of devices lower
// case.
Options checked(Options options);

// By the file's suffix; options have been checked, but for the batch size. Throws Error.
OpenedModel open_model(const std::string& model, Kind kind, const Options& options);
OpenedModel open_openvino(const std::string& model, Kind kind, const Options& options);
OpenedModel open_model(const ModelBytes& model, Kind kind, const Options& options);
OpenedModel open_tensorrt(const std::string& model, Kind kind, const Options& options);
OpenedModel open_torch(const std::string& model, Kind kind, const Options& options);

// Throws Error if the model is another.
void check_kind(Kind wanted, const Description& description, const std::string& model);

// The batch size that is run: what was asked for, at most what the model was exported for. Throws Error.
int64_t batch_size_of(const Options& options, const Description& description);

// The card that a device names: 0 for auto and cuda, N for cuda:N, -1 for anything else.
int card_of(const std::string& device);

std::string lower_case(std::string text);

// An engine's text, whose lines become one: what() is a sentence.
std::string one_line(const std::string& text);

// Of a model whose precision the export fixed, for an engine that pins no threads. Throws Error.
void check_is_automatic(const Options& options, const std::string& suffix);

}  // namespace fer_fast
