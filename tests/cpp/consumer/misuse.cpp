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
  expect(ErrorCode::kDeviceMissing, "device must be auto or cpu for an .xml, not 'Gpu'", [&] { open([](auto& o) { o.device = "Gpu"; }); });
  const auto prior = [&](const std::string& wish) { fer_fast::Classifier(argv[1], {}, wish); };
  expect(ErrorCode::kInvalidArgument, "a file of them, not ''", [&] { prior(""); });
  expect(ErrorCode::kInvalidArgument, "prior cannot be read from '.': Is a directory", [&] { prior("."); });
  expect(ErrorCode::kInvalidArgument, "'joy' is none of them", [&] { prior("joy=1"); });
  expect(ErrorCode::kModelNotFound, "nowhere.xml", [] { fer_fast::Classifier("nowhere.xml"); });
  expect(ErrorCode::kModelUnsupported, "must be an .xml, a .pt2 or an .engine", [] { fer_fast::Classifier(""); });

  expect(ErrorCode::kInvalidArgument, "graph and weights of a model in memory must not be null",
         [] { fer_fast::Classifier(fer_fast::ModelBytes{}); });
  expect(ErrorCode::kInvalidArgument, "graph and weights of a model in memory must not be null",
         [] { fer_fast::FaceFinder(fer_fast::ModelBytes{}); });
  expect(ErrorCode::kDeviceMissing, "device must be auto or cpu for an .xml, not 'cuda'", [] {
    fer_fast::Options options;
    options.device = "cuda";
    fer_fast::Classifier(fer_fast::ModelBytes{}, options);
  });

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
  wrong("format must be 0 to 6 (a PixelFormat), not 7", [](auto& i) { i.format = static_cast<fer_fast::PixelFormat>(7); });
  // Of a camera's formats; the bytes are enough for 30 x 20 of each, unless the case says otherwise.
  const auto wrong_yuv = [&](const std::string& words, const std::function<void(ImageView&)>& change) {
    wrong(words, [&](ImageView& image) {
      image.format = fer_fast::PixelFormat::kI420;
      image.matrix = fer_fast::YuvMatrix::kBt601;
      image.range = fer_fast::YuvRange::kLimited;
      image.size = 30 * 20 * 3 / 2;
      change(image);
    });
  };
  wrong_yuv("matrix must be 1 or 2 (a YuvMatrix), not 0", [](auto& i) { i.matrix = fer_fast::YuvMatrix::kNone; });
  wrong_yuv("range must be 1 or 2 (a YuvRange), not 3", [](auto& i) { i.range = static_cast<fer_fast::YuvRange>(3); });
  wrong_yuv("of this format the width and the height must be even, not 29 x 20", [](auto& i) { i.width = 29; });
  wrong_yuv("of this format the width and the height must be even, not 30 x 19", [](auto& i) { i.height = 19; });
  wrong_yuv("the stride of an I420 must be even, not 31", [](auto& i) { i.stride = 31; });
  wrong_yuv("size must be at least 59 x 15 + 15 bytes, of brightness and colour, not 899", [](auto& i) { i.size -= 1; });
  wrong_yuv("size must be at least 59 x", [](auto& i) { i.stride = kHuge - 1; });
  wrong_yuv("size must be at least 29 x 30 + 30 bytes, of brightness and colour, not 899", [](auto& i) {
    i.format = fer_fast::PixelFormat::kNv12;
    i.size -= 1;
  });
  wrong_yuv("of this format the width must be even, not 29 x 19", [](auto& i) {
    i.format = fer_fast::PixelFormat::kYuyv;
    i.width = 29;
    i.height = 19;
  });
  wrong_yuv("size must be at least 19 x 60 + 60 bytes, of brightness and colour, not 900",
            [](auto& i) { i.format = fer_fast::PixelFormat::kYuyv; });
  wrong_yuv("stride must be 0 or at least a row's 60 bytes, not 58", [](auto& i) {
    i.format = fer_fast::PixelFormat::kYuyv;
    i.stride = 58;
  });
  float row[64];
  expect(ErrorCode::kInvalidArgument, "images must not be null", [&] { classifier.classify(nullptr, 1, row); });
  expect(ErrorCode::kInvalidArgument, "probabilities must not be null", [&] { classifier.classify(&good, 1, nullptr); });
  expect(ErrorCode::kInvalidArgument, "count must be at most 164703072086692425, not 18446744073709551615",
         [&] { classifier.classify(&good, std::numeric_limits<std::size_t>::max(), row); });
  classifier.classify(nullptr, 0, nullptr);
  expect(ErrorCode::kDeviceMissing, "images on a card are for an .engine alone, which runs there: this model is none", [&] {
    classifier.enqueue({pixels.data(), std::numeric_limits<std::size_t>::max(), 1, row, 64, nullptr});
  });
  if (!classifier.classify(std::vector<ImageView>{}).empty()) ++failures;

  fer_fast::Classifier moved = std::move(classifier);
  expect(ErrorCode::kInvalidArgument, "was moved from", [&] { classifier.classify(good); });
  expect(ErrorCode::kInvalidArgument, "was moved from", [&] { classifier.enqueue({}); });
  expect(ErrorCode::kInvalidArgument, "was moved from", [&] { classifier.describe(); });
  expect(ErrorCode::kInvalidArgument, "was moved from", [&] { classifier.classes(); });
  const fer_fast::Prediction after = moved.classify(good);
  for (std::size_t i = 0; i < before.probabilities.size(); ++i) {
    if (before.probabilities[i] != after.probabilities[i]) ++failures;
  }
  return failures == 0 ? 0 : 1;
}
