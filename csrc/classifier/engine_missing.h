// What stands in for an engine that this library was built without.
#pragma once

#include "engine.h"

namespace fer_fast {

[[noreturn]] inline void refuse_engine(const std::string& model, const std::string& engine, const std::string& option) {
  throw Error(ErrorCode::kEngineMissing, "the model '" + model + "' needs " + engine +
                                             ", and this library was built without it: build with -D" + option + "=1");
}

}  // namespace fer_fast
