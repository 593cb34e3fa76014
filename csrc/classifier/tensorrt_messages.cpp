#include "tensorrt_messages.h"

#include <utility>

namespace fer_fast {
namespace {

thread_local std::string said;

}  // namespace

Messages& Messages::all() {
  static Messages& messages = *new Messages;
  return messages;
}

void Messages::log(Severity severity, const char* message) noexcept {
  if (severity > Severity::kERROR || said.size() > 2000) return;
  try {
    said += said.empty() ? message : std::string("; ") + message;
  } catch (const std::exception&) {  // no memory for the text
  }
}

std::string Messages::take() { return said.empty() ? "it does not say why" : std::exchange(said, {}); }

void refuse(ErrorCode code, const std::string& what) {
  const std::string why = Messages::take();
  const bool full = why.find("out of memory") != std::string::npos || why.find("OutOfMemory") != std::string::npos;
  throw Error(full ? ErrorCode::kOutOfMemory : code, what + ": " + why);
}

}  // namespace fer_fast
