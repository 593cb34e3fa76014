// A file comes in, its bytes go out.
#pragma once

#include <cstdint>
#include <string>

namespace fer_fast {

// Of a regular file, in bytes. Throws Error if it is not there or is something else.
uint64_t file_size(const std::string& path);

// Throws Error if it is not there or cannot be read.
std::string read_file(const std::string& path);

}  // namespace fer_fast
