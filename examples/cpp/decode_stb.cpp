#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

#include "decode.h"
#include "orientation.h"

Image decode(const std::string& path) {
  int width = 0, height = 0, channels = 0;
  const std::shared_ptr<stbi_uc> pixels(stbi_load(path.c_str(), &width, &height, &channels, 3), stbi_image_free);
  if (!pixels) return {};
  fer_fast::ImageView view;
  view.data = pixels.get();
  view.size = std::size_t{3} * static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  view.width = width;
  view.height = height;
  return upright({pixels, view}, orientation_of(path));
}
