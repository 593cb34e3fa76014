#include "engine_missing.h"

namespace fer_fast {

OpenedModel open_torch(const std::string& model, Kind, const Options&) { refuse_engine(model, "libtorch", "FER_FAST_LIBTORCH"); }

}  // namespace fer_fast
