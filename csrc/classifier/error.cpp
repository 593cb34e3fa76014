// In a file of its own, so that the type is this library's everywhere: programs catch what it throws.
#include "fer_fast/image.h"

namespace fer_fast {

Error::Error(ErrorCode code, const std::string& what) : std::runtime_error(what), code_(code) {}
Error::~Error() = default;

}  // namespace fer_fast
