#include "engine_missing.h"

namespace fer_fast {

OpenedModel open_openvino(const std::string& model, Kind, const Options&) { refuse_engine(model, "OpenVINO", "FER_FAST_OPENVINO"); }

}  // namespace fer_fast
