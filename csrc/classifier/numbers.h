// Text comes in, the number that it is goes out, in no country's way of writing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fer_fast {

// Digits, with a sign, a point and an exponent, or without: 12, -0.5, .5, 2e-3; no space, no word. Nothing if it is another
// text or too large for a double.
std::optional<double> number_in(std::string_view text);

// To 9 significant digits.
std::string text_of(double number);

}  // namespace fer_fast
