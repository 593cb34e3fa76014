// A file comes in, its bytes go out.
#pragma once

#include <string>

namespace fer_fast {

// Throws Error if it is not there or cannot be read.
std::string read_file(const std::string& path);

}  // namespace fer_fast
