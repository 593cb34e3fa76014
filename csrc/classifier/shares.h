// A wish for a mix of classes comes in, shares of the classes go out: fer_fast/models/prior.py reads the same, by the same
// rules and in the same words.
#pragma once

#include <string>
#include <vector>

namespace fer_fast {

// In the order of the classes, 0 or more, sum 1; none for train. `prior` is train, balanced, shares or counts by class as
// text, anger=0.2,fear=0.8, or the path of a file with a JSON object of them or with a line class=share each and comments
// behind a #. Text with a = is no path. Throws Error.
std::vector<double> shares_of(const std::string& prior, const std::vector<std::string>& classes);

// What would be read as these shares: the same for the same.
std::string prior_text(const std::vector<double>& shares, const std::vector<std::string>& classes);

}  // namespace fer_fast
