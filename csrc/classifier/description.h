// What an exported model says of itself: text comes in, facts go out. Damage is found here, before an engine reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "framing.h"

namespace fer_fast {

enum class Kind { kClassifier, kFinder };

struct Description {
  std::string version;  // of the fer-fast that exported it
  std::string model;    // digest of the checkpoint
  std::string precision;
  Kind kind = Kind::kClassifier;
  int64_t batch_size = 0;
  std::vector<std::string> instructions;  // that the model, if it holds machine code, may use
  // A classifier's.
  int64_t image_size = 0;
  std::vector<std::string> classes;
  Framing framing = Framing::kPoints;  // how faces are cropped for it
  // The mix of classes that its probabilities presume: shares of 0 to 1 that sum to 1, in the order of `classes`; of a
  // share of 0 the class is never answered. Empty if it is not known.
  std::vector<double> prior;
  // A finder's: the sides of its images are multiples of one, and at most the other.
  int64_t least_side = 0, most_side = 0;

  // Of each image of a batch: numbers that go out.
  int64_t outputs(int64_t height, int64_t width) const;
};

// `text` is a line a fact; `name` the file, for messages. Throws Error.
Description parse_description(std::string_view text, const std::string& name);

// What a part of a model must be.
struct Sum {
  std::string what;  // the part: graph, weights, engine or description
  uint64_t size = 0;
  uint32_t crc = 0;
};

// A description that is as it was exported, and what the model's other file must be.
struct SealedDescription {
  Description description;
  Sum beside;
};

// Reads the last instruction of OpenVINO's graph and compares the graph with it; the weights are beside it. Throws Error.
SealedDescription read_sealed_graph(std::string_view graph, const std::string& name);

// Reads what lies beside a TensorRT engine. Throws Error.
SealedDescription read_sealed_engine(std::string_view text, const std::string& name);

// The first before the other file is read: it may be any size. Throw Error.
void check_size(const Sum& sum, uint64_t size, const std::string& name);
void check_bytes(const Sum& sum, std::string_view bytes, const std::string& name);

}  // namespace fer_fast
