// turned PATH...: what the example's reader finds: of each file its orientation, and the colours of its corners.
#include <iostream>

#include "decode.h"
#include "orientation.h"

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::cout << orientation_of(argv[i]);
    const Image image = decode(argv[i]);
    if (image.pixels) {
      const fer_fast::ImageView& view = image.view;
      for (const int64_t y : {int64_t{2}, view.height - 3}) {
        for (const int64_t x : {int64_t{2}, view.width - 3}) {
          for (int channel = 0; channel < 3; ++channel) {
            std::cout << ' ' << int{view.data[3 * (y * view.width + x) + channel]};
          }
        }
      }
    }
    std::cout << '\n';
  }
}
