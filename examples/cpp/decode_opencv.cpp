#include <opencv2/imgcodecs.hpp>

#include "decode.h"

Image decode(const std::string& path) {
  auto pixels = std::make_shared<cv::Mat>();
  try {
    *pixels = cv::imread(path, cv::IMREAD_COLOR);  // upright by EXIF, three channels; what a cut JPEG lacks is grey
  } catch (const cv::Exception&) {  // more pixels than OpenCV takes
  }
  if (pixels->empty()) return {};
  fer_fast::ImageView view;
  view.data = pixels->data;
  view.size = pixels->total() * pixels->elemSize();
  view.width = pixels->cols;
  view.height = pixels->rows;
  view.format = fer_fast::PixelFormat::kBgr8;
  return {std::move(pixels), view};
}
