// A file comes in, its bytes go out.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace fer_fast {

// Of a regular file, in bytes. Throws Error if it is not there or is something else.
uint64_t file_size(const std::string& path);

// What a description or a graph without its weights may have: one that is larger is none.
constexpr uint64_t kMostText = 256 << 20;

// Throws Error if it is not there, cannot be read or is larger than `most`.
std::string read_file(const std::string& path, uint64_t most = std::numeric_limits<uint64_t>::max());

}  // namespace fer_fast
