#include "engine_missing.h"

namespace fer_fast {

OpenedModel open_tensorrt(const std::string& model, Kind, const Options&) { refuse_engine(model, "TensorRT", "FER_FAST_TENSORRT"); }

}  // namespace fer_fast
