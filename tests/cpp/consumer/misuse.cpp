// MODEL: everything that a caller can do wrong gives an Error with its code, and leaves the classifier as it was.
#include <fer_fast/classifier.h>

#include <limits>

#include "expect.h"

using fer_fast::ErrorCode;
using fer_fast::ImageView;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto open = [&](const std::function<void(fer_fast::Options&)>& change) {
    fer_fast::Options options;
    change(options);
    return fer_fast::Classifier(argv[1], options);
  };
  expect(ErrorCode::kInvalidArgument, "threads must be 0 or more, not -1", [&] { open([](auto& o) { o.threads = -1; }); });
  expect(ErrorCode::kInvalidArgument, "batch_size must be at most the 16 that the model was exported for, not 17",
         [&] { open([](auto& o) { o.batch_size = 17; }); });
  expect(ErrorCode::kInvalidArgument, "precision must be 0, 1 or 2 (a Precision), not",
         [&] { open([](auto& o) { o.precision = static_cast<fer_fast::Precision>(9); }); });
  expect(ErrorCode::kInvalidArgument, "goal must be 0 or 1 (a Goal), not -1", [&] { open([](auto& o) { o.goal = static_cast<fer_fast::Goal>(-1); }); });
  expect(ErrorCode::kDeviceMissing, "device must be auto or cpu for an .xml, not 'cuda'", [&] { open([](auto& o) { o.device = "cuda"; }); });
  expect(ErrorCode::kModelNotFound, "nowhere.xml", [] { fer_fast::Classifier("nowhere.xml"); });
  expect(ErrorCode::kModelUnsupported, "must be an .xml, a .pt2 or an .engine", [] { fer_fast::Classifier(""); });

  fer_fast::Classifier classifier = open([](auto& o) { o.threads = 10000; });  // more than there are processors
  const std::vector<uint8_t> pixels(30 * 20 * 3, 99);
  ImageView good;
  good.data = pixels.data();
  good.size = pixels.size();
  good.width = 30;
  good.height = 20;
  const fer_fast::Prediction before = classifier.classify(good);

  const auto wrong = [&](const std::string& words, const std::function<void(ImageView&)>& change) {
    expect(ErrorCode::kInvalidArgument, "image 1: " + words, [&] {
      ImageView image = good;
      change(image);
      classifier.classify({good, image, good});
    });
  };
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  wrong("data must not be null", [](auto& i) { i.data = nullptr; });
  wrong("size must be at least height - 1 strides and a row, 19 x 90 + 90 bytes, not 1799", [](auto& i) { i.size -= 1; });
  wrong("size must be at least", [](auto& i) { i.size = 0; });
  wrong("size must be at least", [](auto& i) { i.format = fer_fast::PixelFormat::kRgba8; });
  wrong("size must be at least", [](auto& i) { i.stride = kHuge; });
  wrong("size must be at least", [](auto& i) { i.width = i.height = fer_fast::kMaxImageSide; });
  wrong("stride must be 0 or at least a row's 90 bytes, not 89", [](auto& i) { i.stride = 89; });
  wrong("stride must be 0 or at least a row's 90 bytes, not -90", [](auto& i) { i.stride = -90; });
  wrong("width and height must be 1 to 65536, not 0 x 20", [](auto& i) { i.width = 0; });
  wrong("width and height must be 1 to 65536, not 30 x -1", [](auto& i) { i.height = -1; });
  wrong("width and height must be 1 to 65536", [](auto& i) { i.height = kHuge; });
  wrong("width and height must be 1 to 65536", [](auto& i) { i.width = std::numeric_limits<int64_t>::min(); });
  wrong("format must be 0 to 3 (a PixelFormat), not 4", [](auto& i) { i.format = static_cast<fer_fast::PixelFormat>(4); });
  float row[64];
  expect(ErrorCode::kInvalidArgument, "images must not be null", [&] { classifier.classify(nullptr, 1, row); });
  expect(ErrorCode::kInvalidArgument, "probabilities must not be null", [&] { classifier.classify(&good, 1, nullptr); });
  classifier.classify(nullptr, 0, nullptr);
  if (!classifier.classify(std::vector<ImageView>{}).empty()) ++failures;

  fer_fast::Classifier moved = std::move(classifier);
  expect(ErrorCode::kInvalidArgument, "was moved from", [&] { classifier.classify(good); });
  expect(ErrorCode::kInvalidArgument, "was moved from", [&] { classifier.describe(); });
  expect(ErrorCode::kInvalidArgument, "was moved from", [&] { classifier.classes(); });
  const fer_fast::Prediction after = moved.classify(good);
  for (std::size_t i = 0; i < before.probabilities.size(); ++i) {
    if (before.probabilities[i] != after.probabilities[i]) ++failures;
  }
  return failures == 0 ? 0 : 1;
}
