// What an exported model says of itself: text comes in, facts go out. Damage is found here, before an engine reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fer_fast {

struct Description {
  std::string version;  // of the fer-fast that exported it
  std::string model;    // digest of the checkpoint
  std::string precision;
  int64_t image_size = 0;
  int64_t batch_size = 0;
  std::vector<std::string> classes;
};

// `text` is a line a fact; `name` the file, for messages. Throws Error.
Description parse_description(std::string_view text, const std::string& name);

// OpenVINO's graph, whose last instruction describes the model and says what its weights must be.
struct SealedGraph {
  Description description;
  uint64_t weights_size = 0;
  uint32_t weights_sum = 0;
};

// Reads the instruction and compares the graph with it. Throws Error.
SealedGraph read_sealed(std::string_view graph, const std::string& name);

// The first before the weights are read: they may be any size. Throw Error.
void check_weights_size(const SealedGraph& sealed, uint64_t size, const std::string& name);
void check_weights(const SealedGraph& sealed, std::string_view weights, const std::string& name);

}  // namespace fer_fast
