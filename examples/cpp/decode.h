// A file's path comes in, an image in memory, which a classifier can look at, goes out.
#pragma once

#include <fer_fast/classifier.h>

#include <memory>
#include <string>

struct Image {
  std::shared_ptr<const void> pixels;  // owns what the view looks at; null if the file cannot be decoded
  fer_fast::ImageView view;
};

Image decode(const std::string& path);
