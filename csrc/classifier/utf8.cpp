#include "utf8.h"

#include <cstdint>

namespace fer_fast {

bool is_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const auto at = [&](std::size_t place) { return static_cast<uint8_t>(place < bytes.size() ? bytes[place] : 0); };
    const uint8_t first = at(i++);
    if (first < 0x80) continue;
    const int more = first < 0xC2 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF5 ? 3 : 0;
    if (more == 0) return false;
    // The second byte tells what is longer than needed, a surrogate or too large.
    const uint8_t least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const uint8_t most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (at(i) < least || at(i) > most) return false;
    for (int k = 1; k < more; ++k) {
      if ((at(i + static_cast<std::size_t>(k)) & 0xC0) != 0x80) return false;
    }
    i += static_cast<std::size_t>(more);
  }
  return true;
}

}  // namespace fer_fast
