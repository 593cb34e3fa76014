#include "prior.h"

#include <algorithm>
#include <limits>

#include "fer_fast/image.h"
#include "shares.h"

namespace fer_fast {

void Prior::apply(float* probabilities, int64_t count) const {
  std::vector<double> weighted(ratios.size());
  for (; !ratios.empty() && count > 0; --count, probabilities += ratios.size()) {
    double sum = 0;
    for (std::size_t i = 0; i < ratios.size(); ++i) {
      // No probability is quite 0: else a row could be, that has nothing but what is never to be the answer.
      weighted[i] = std::max(probabilities[i], std::numeric_limits<float>::min()) * ratios[i];
      sum += weighted[i];
    }
    for (std::size_t i = 0; i < ratios.size(); ++i) probabilities[i] = static_cast<float>(weighted[i] / sum);
  }
}

Prior prior_for(const std::string& wish, const Description& model) {
  const std::vector<double> shares = shares_of(wish, model.classes);
  Prior prior{prior_text(shares, model.classes), {}};
  if (!shares.empty() && model.prior.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "prior must be train for this model, which does not say the mix of classes that it was trained on: "
                "fer-fast recalibrate writes one that does, from the training data (and what was exported is to be "
                "exported again)");
  }
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] > 0 && model.prior[i] == 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  "prior must be 0 for '" + model.classes[i] + "', which this exported model never answers");
    }
    prior.ratios.push_back(shares[i] > 0 ? shares[i] / model.prior[i] : 0);
  }
  return prior;
}

}  // namespace fer_fast
