// WIDTH HEIGHT IMAGES OUT: images come in, their RGB bytes in that size go out, one after the other; LONGEST in place of
// both: what a face finder sees, by the longer side, width and height before it.
#include "../../csrc/classifier/resize.h"

#include "../../csrc/classifier/photo.h"
#include "../../csrc/classifier/workspace.h"
#include "../../csrc/classifier/yuv.h"
#include "consumer/images.h"

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) return 2;
  const Images images = read_images(argv[argc - 2]);
  std::ofstream out(argv[argc - 1], std::ios::binary);
  const int64_t width = std::stoll(argv[1]), height = argc == 5 ? std::stoll(argv[2]) : 0;
  fer_fast::Workspace space;  // for all: what one leaves does the next no harm
  for (std::size_t i = 0; i < images.views.size(); ++i) {
    fer_fast::check_image(images.views[i], i);
    fer_fast::Seen seen{width, height, width, height};
    if (argc == 4) seen = fer_fast::seen_of(images.views[i], width, 1);
    std::vector<uint8_t> pixels(static_cast<std::size_t>(seen.bytes()), 77);
    if (argc == 5) {
      const fer_fast::RgbView view(images.views[i], space);
      fer_fast::resize_to(view.view(), width, height, pixels.data(), width * 3, space);
    } else {
      fer_fast::see(images.views[i], seen, pixels.data(), space);
      out.write(reinterpret_cast<const char*>(&seen.width), 8).write(reinterpret_cast<const char*>(&seen.height), 8);
    }
    out.write(reinterpret_cast<const char*>(pixels.data()), static_cast<std::streamsize>(pixels.size()));
  }
  return 0;
}
