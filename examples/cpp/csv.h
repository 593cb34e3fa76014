// A cell's text comes in, as csv has it it goes out.
#pragma once

#include <string>

inline std::string quoted(const std::string& text) {
  std::string found = "\"";
  for (const char letter : text) found += letter == '"' ? "\"\"" : std::string(1, letter);
  return found + '"';
}
