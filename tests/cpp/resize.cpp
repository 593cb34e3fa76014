// SIDE IMAGES OUT: images come in, their squares of RGB bytes go out, one after the other.
#include "../../csrc/classifier/resize.h"

#include "consumer/images.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int64_t side = std::stoll(argv[1]);
  const Images images = read_images(argv[2]);
  std::ofstream out(argv[3], std::ios::binary);
  std::vector<uint8_t> square(static_cast<std::size_t>(side * side * 3));
  for (std::size_t i = 0; i < images.views.size(); ++i) {
    fer_fast::check_image(images.views[i], i);
    fer_fast::resize_to_square(images.views[i], side, square.data());
    out.write(reinterpret_cast<const char*>(square.data()), static_cast<std::streamsize>(square.size()));
  }
  return 0;
}
