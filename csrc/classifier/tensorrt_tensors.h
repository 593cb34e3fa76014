// What fer_fast/export calls an engine's input and output, and how large they are at most.
#pragma once

#include "description.h"

namespace fer_fast {

constexpr const char* kInput = "images";

inline const char* output_name(const Description& description) {
  return description.kind == Kind::kFinder ? "cells" : "probabilities";
}

inline int64_t most_side(const Description& description) {
  return description.kind == Kind::kFinder ? description.most_side : description.image_size;
}

}  // namespace fer_fast
