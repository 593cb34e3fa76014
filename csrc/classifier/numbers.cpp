#include "numbers.h"

#include <algorithm>
#include <locale>
#include <sstream>

namespace fer_fast {
namespace {

// [+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?
bool is_number(std::string_view text) {
  const auto digits = [&] {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count > 0;
  };
  const auto one_of = [&](std::string_view letters) {
    const bool found = !text.empty() && letters.find(text[0]) != std::string_view::npos;
    if (found) text.remove_prefix(1);
    return found;
  };
  one_of("+-");
  const bool before = digits(), behind = one_of(".") && digits();
  if (!before && !behind) return false;
  if (one_of("eE")) {
    one_of("+-");
    if (!digits()) return false;
  }
  return text.empty();
}

}  // namespace

std::optional<double> number_in(std::string_view text) {
  if (!is_number(text)) return std::nullopt;
  // std::from_chars for doubles came with GCC 11 alone, and what is too small for a double is an error to it, not 0.
  std::istringstream stream{std::string(text)};
  stream.imbue(std::locale::classic());
  double number = 0;
  stream >> number;
  return stream.fail() ? std::nullopt : std::optional(number);
}

std::string text_of(double number) {
  std::ostringstream stream;
  stream.imbue(std::locale::classic());
  stream.precision(9);
  stream << number;
  return stream.str();
}

}  // namespace fer_fast
