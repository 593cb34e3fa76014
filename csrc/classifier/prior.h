// Probabilities that presume one mix of classes come in, those that presume another go out (Saerens et al. 2002, equation
// 2.4).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "description.h"

namespace fer_fast {

struct Prior {
  std::string text = "train";  // what would be read as the same
  std::vector<double> ratios;  // what each class's probability is multiplied by; none for train

  // In place, [count][classes]; rows sum to 1 before and after.
  void apply(float* probabilities, int64_t count) const;
};

// Of a wish, see shares_of, for a model that says what its probabilities presume. Throws Error.
Prior prior_for(const std::string& wish, const Description& model);

}  // namespace fer_fast
