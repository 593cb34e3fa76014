// ROOT...: the processors that the control groups drawn in each folder grant, 0 without a limit; then those that may be used.
#include "../../csrc/classifier/processors.h"

#include <iostream>

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) std::cout << fer_fast::cpu_quota(argv[i]) << '\n';
  std::cout << fer_fast::allowed_processors() << '\n' << fer_fast::usable_processors() << '\n';
}
