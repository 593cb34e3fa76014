// WISHES CLASS...: wishes for a mix of classes or descriptions that say one, each ended by a 0, come in. Of each a line goes
// out: its name and shares, or what is wrong. Before that: a case worked by hand.
#include "../../csrc/classifier/prior.h"

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>

#include "../../csrc/classifier/shares.h"
#include "consumer/expect.h"

using namespace fer_fast;

static void by_hand() {
  // Half of the training was the first class, of which there is as much as of the others now: 0.6 * 2/3, 0.3 * 4/3 and
  // 0.1 * 4/3 are 6, 6 and 2 fifteenths.
  Description model;
  model.classes = {"no", "yes", "may be"};
  model.prior = {0.5, 0.25, 0.25};
  float rows[] = {0.6f, 0.3f, 0.1f, 1, 0, 0};
  const float wanted[] = {6 / 14.f, 6 / 14.f, 2 / 14.f, 1, 0, 0};
  prior_for("balanced", model).apply(rows, 2);
  for (int i = 0; i < 6; ++i) require(std::abs(rows[i] - wanted[i]) < 1e-7f);
  // What is never to be the answer is not, though nothing else has a probability.
  float sure[] = {1, 0, 0};
  prior_for("no=0,yes=1,may be=1", model).apply(sure, 1);
  require(sure[0] == 0 && sure[1] == 0.5f && sure[2] == 0.5f);
  prior_for("train", model).apply(sure, 1);
  require(sure[0] == 0 && sure[1] == 0.5f && sure[2] == 0.5f);
  model.prior = {0, 0.25, 0.75};
  prior_for("no=0,yes=1,may be=1", model);
  expect(ErrorCode::kInvalidArgument, "prior must be 0 for 'no', which this exported model never answers",
         [&] { prior_for("balanced", model); });
}

static std::vector<double> shares_in(const std::string& wish, const std::vector<std::string>& classes) {
  return wish.rfind("format ", 0) == 0 ? parse_description(wish, "m.xml").prior : shares_of(wish, classes);
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  by_hand();
  std::ifstream file(argv[1], std::ios::binary);
  const std::vector<std::string> classes(argv + 2, argv + argc);
  for (std::string wish; std::getline(file, wish, '\0');) {
    try {
      const std::vector<double> shares = shares_in(wish, classes);
      std::cout.precision(17);
      std::cout << "0 " << prior_text(shares, classes);
      for (const double share : shares) std::cout << '|' << share;
    } catch (const Error& error) {
      std::cout << static_cast<int>(error.code()) << ' ' << error.what();
    }
    std::cout << '\n';
  }
  return failures == 0 ? 0 : 1;
}
