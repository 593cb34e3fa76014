// Images in a plain form of the tests' own. Each: width, height, stride, format (with the matrix in its second byte, the
// range in its third), size as int64, then the bytes.
#pragma once

#include <fer_fast/classifier.h>

#include <fstream>

struct Images {
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<fer_fast::ImageView> views;
};

inline Images read_images(const char* path) {
  Images images;
  std::ifstream file(path, std::ios::binary);
  int64_t header[5];
  while (file.read(reinterpret_cast<char*>(header), sizeof(header))) {
    images.bytes.emplace_back(static_cast<std::size_t>(header[4]));
    file.read(reinterpret_cast<char*>(images.bytes.back().data()), header[4]);
    fer_fast::ImageView view;
    view.data = images.bytes.back().data();
    view.size = images.bytes.back().size();
    view.width = header[0];
    view.height = header[1];
    view.stride = header[2];
    view.format = static_cast<fer_fast::PixelFormat>(header[3] & 255);
    view.matrix = static_cast<fer_fast::YuvMatrix>(header[3] >> 8 & 255);
    view.range = static_cast<fer_fast::YuvRange>(header[3] >> 16);
    images.views.push_back(view);
  }
  return images;
}
