// What must fail, and how; what must hold. `failures` counts what does not.
#pragma once

#include <fer_fast/classifier.h>

#include <functional>
#include <iostream>

inline int failures = 0;

inline void expect(fer_fast::ErrorCode code, const std::string& words, const std::function<void()>& doing) {
  try {
    doing();
    std::cerr << "no error, but one with: " << words << '\n';
    ++failures;
  } catch (const fer_fast::Error& error) {
    if (error.code() == code && std::string(error.what()).find(words) != std::string::npos) return;
    std::cerr << static_cast<int>(error.code()) << ' ' << error.what() << ", but not: " << words << '\n';
    ++failures;
  }
}

inline void require(bool holds) {
  if (holds) return;
  std::cerr << "what must hold does not\n";
  ++failures;
}
