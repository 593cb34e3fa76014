#include "json_object.h"

#include <algorithm>
#include <cstdint>

namespace fer_fast {
namespace {

// Objects and lists within each other: each takes a call.
constexpr int kMostDepth = 500;
// Half a surrogate pair becomes the replacement character: messages are UTF-8.
constexpr uint32_t kNoLetter = 0xFFFD;

// What has been read is taken off the front; each function says whether what it is called after was there.
struct Reader {
  std::string_view rest;

  bool taken(std::string_view text) {
    const bool found = rest.substr(0, text.size()) == text;
    if (found) rest.remove_prefix(text.size());
    return found;
  }

  void space() { rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n\r"), rest.size())); }

  // How many there were.
  std::size_t digits() {
    const std::size_t count = std::min(rest.find_first_not_of("0123456789"), rest.size());
    rest.remove_prefix(count);
    return count;
  }

  bool number() {
    taken("-");
    if (!taken("0") && digits() == 0) return false;
    if (taken(".") && digits() == 0) return false;
    if (taken("e") || taken("E")) {
      if (!taken("+")) taken("-");
      if (digits() == 0) return false;
    }
    return true;
  }

  // What follows \u.
  bool unit(uint32_t& found) {
    found = 0;
    for (int digit = 0; digit < 4; ++digit) {
      const std::size_t value = std::string_view("0123456789abcdef0123456789ABCDEF").find(rest.substr(0, 1));
      if (rest.empty() || value == std::string_view::npos) return false;
      found = found * 16 + static_cast<uint32_t>(value % 16);
      rest.remove_prefix(1);
    }
    return true;
  }

  bool escape(std::string& found) {
    static constexpr std::string_view kLetters = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    if (taken("u")) {
      uint32_t point = 0, second = 0;
      if (!unit(point)) return false;
      const Reader before = *this;
      if (point >= 0xD800 && point < 0xDC00 && taken("\\u")) {
        if (!unit(second)) return false;
        if (second >= 0xDC00 && second < 0xE000) {
          point = 0x10000 + ((point - 0xD800) << 10) + (second - 0xDC00);
        } else {
          *this = before;  // another letter follows
        }
      }
      append(point >= 0xD800 && point < 0xE000 ? kNoLetter : point, found);
      return true;
    }
    const std::size_t letter = rest.empty() ? std::string_view::npos : kLetters.find(rest[0]);
    if (letter == std::string_view::npos) return false;
    found += kMeant[letter];
    rest.remove_prefix(1);
    return true;
  }

  // As UTF-8.
  static void append(uint32_t point, std::string& found) {
    const auto byte = [&](uint32_t value) { found += static_cast<char>(value); };
    if (point < 0x80) return byte(point);
    if (point < 0x800) return byte(0xC0 | point >> 6), byte(0x80 | (point & 63));
    if (point < 0x10000) return byte(0xE0 | point >> 12), byte(0x80 | (point >> 6 & 63)), byte(0x80 | (point & 63));
    byte(0xF0 | point >> 18), byte(0x80 | (point >> 12 & 63)), byte(0x80 | (point >> 6 & 63)), byte(0x80 | (point & 63));
  }

  bool string(std::string& found) {
    if (!taken("\"")) return false;
    while (!rest.empty() && static_cast<uint8_t>(rest[0]) >= 0x20) {
      if (taken("\"")) return true;
      if (taken("\\")) {
        if (!escape(found)) return false;
        continue;
      }
      found += rest[0];
      rest.remove_prefix(1);
    }
    return false;
  }

  // What is between two brackets, with commas between.
  template <typename Each>
  bool several(std::string_view opening, std::string_view closing, const Each& each) {
    if (!taken(opening)) return false;
    space();
    if (taken(closing)) return true;
    for (;;) {
      space();
      if (!each()) return false;
      space();
      if (taken(closing)) return true;
      if (!taken(",")) return false;
    }
  }

  bool object(int depth, Members& found) {
    return several("{", "}", [&] {
      std::string name;
      if (!string(name)) return false;
      space();
      if (!taken(":")) return false;
      space();
      const std::string_view before = rest;
      if (!value(depth)) return false;
      found.emplace_back(std::move(name), before.substr(0, before.size() - rest.size()));
      return true;
    });
  }

  bool value(int depth) {
    if (depth == kMostDepth || rest.empty()) return false;
    Members inner;
    std::string text;
    if (rest[0] == '{') return object(depth + 1, inner);
    if (rest[0] == '[') return several("[", "]", [&] { return value(depth + 1); });
    if (rest[0] == '"') return string(text);
    for (const std::string_view word : {"true", "false", "null", "NaN", "Infinity", "-Infinity"}) {
      if (taken(word)) return true;
    }
    return number();
  }
};

}  // namespace

std::optional<Members> members_in(std::string_view json) {
  Reader reader{json};
  Members found;
  reader.space();
  if (!reader.object(0, found)) return std::nullopt;
  reader.space();
  return reader.rest.empty() ? std::optional(std::move(found)) : std::nullopt;
}

}  // namespace fer_fast
