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

// Of OpenVINO's pair of files: reads the instruction at the graph's end and compares sizes and checksums. Throws Error.
Description check_sealed(std::string_view graph, std::string_view weights, const std::string& name);

}  // namespace fer_fast
