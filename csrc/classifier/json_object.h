// JSON's text comes in, what one object says goes out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fer_fast {

// Names and values as they were written, in their order.
using Members = std::vector<std::pair<std::string, std::string>>;

// Of valid UTF-8. Values are as RFC 8259 has them and, as to Python's json, NaN and Infinity. Nothing if the text is
// anything but one such object.
std::optional<Members> members_in(std::string_view json);

}  // namespace fer_fast
