// Bytes come in, whether they are text goes out.
#pragma once

#include <string_view>

namespace fer_fast {

// As RFC 3629 has it: no form longer than needed, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view bytes);

}  // namespace fer_fast
