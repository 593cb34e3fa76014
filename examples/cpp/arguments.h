// A program's arguments come in, what follows one by its name goes out; those that have no name stay.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

// `arguments` are main's without the program. Nothing if it is not there, or is the last.
inline std::optional<std::string> taken(const std::string& name, std::vector<std::string>& arguments) {
  const auto found = std::find(arguments.begin(), arguments.end(), name);
  if (found == arguments.end() || found + 1 == arguments.end()) return std::nullopt;
  const std::string value = *(found + 1);
  arguments.erase(found, found + 2);
  return value;
}
