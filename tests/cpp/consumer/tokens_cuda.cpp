// Compiled and linked where the library has its CUDA twin; it needs a card to run, and without one says what CUDA says.
#include <fer_fast/tokens_cuda.h>

#include <iostream>

int main() {
  fer_fast::SourceView none;
  try {
    fer_fast::fused_tokens_cuda(&none, 1, 1, nullptr, fer_fast::DType::kFloat32, nullptr);
  } catch (const std::invalid_argument& error) {  // checked before CUDA is asked
    std::cout << error.what() << '\n';
    return 0;
  }
  return 1;
}
