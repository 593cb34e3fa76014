// The parts of a sentence come in, an exception that says it goes out.
#pragma once

#include <sstream>
#include <stdexcept>

namespace fer_fast {

template <typename Error = std::invalid_argument, typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

}  // namespace fer_fast
