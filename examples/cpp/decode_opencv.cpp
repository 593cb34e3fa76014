#include <opencv2/imgcodecs.hpp>

#include "decode.h"
#include "orientation.h"

Image decode(const std::string& path) {
  auto pixels = std::make_shared<cv::Mat>();
  const int orientation = orientation_of(path);  // 0 where OpenCV alone knows
  const int as_stored = orientation != 0 ? cv::IMREAD_IGNORE_ORIENTATION : 0;
  try {
    *pixels = cv::imread(path, cv::IMREAD_COLOR | as_stored);  // three channels; what a cut JPEG lacks is grey
  } catch (const cv::Exception&) {  // more pixels than OpenCV takes
  }
  if (pixels->empty()) return {};
  fer_fast::ImageView view;
  view.data = pixels->data;
  view.size = pixels->total() * pixels->elemSize();
  view.width = pixels->cols;
  view.height = pixels->rows;
  view.format = fer_fast::PixelFormat::kBgr8;
  return upright({std::move(pixels), view}, orientation);
}
