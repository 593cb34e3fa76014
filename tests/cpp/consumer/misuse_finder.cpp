// FINDER MODEL: everything that a caller can do wrong with a face finder gives an Error with its code, and leaves it as
// it was.
#include <fer_fast/classifier.h>

#include <cmath>

#include "expect.h"

using fer_fast::ErrorCode;
using fer_fast::ImageView;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto open = [&](const std::function<void(fer_fast::FinderOptions&)>& change) {
    fer_fast::FinderOptions options;
    change(options);
    return fer_fast::FaceFinder(argv[1], options);
  };
  const auto refused = [&](const std::string& words, const std::function<void(fer_fast::FinderOptions&)>& change) {
    expect(ErrorCode::kInvalidArgument, words, [&] { open(change); });
  };
  refused("threads must be 0 or more, not -1", [](auto& o) { o.threads = -1; });
  refused("find_size must be 32 or more, not 31", [](auto& o) { o.find_size = 31; });
  refused("find_size must be at most the 16384 that the model was exported for, not 16385",
          [](auto& o) { o.find_size = 16385; });
  refused("score must be 0 to 1, not 1.5", [](auto& o) { o.score = 1.5; });
  refused("score must be 0 to 1, not nan", [](auto& o) { o.score = std::nan(""); });
  refused("min_face must be a number of pixels, 0 or more, not -1", [](auto& o) { o.min_face = -1; });
  refused("precision must be 0, 1 or 2", [](auto& o) { o.precision = static_cast<fer_fast::Precision>(9); });
  expect(ErrorCode::kDeviceMissing, "device must be auto or cpu for an .xml",
         [&] { open([](auto& o) { o.device = "cuda"; }); });
  expect(ErrorCode::kModelNotFound, "nowhere.xml", [] { fer_fast::FaceFinder("nowhere.xml"); });
  expect(ErrorCode::kModelUnsupported, "is a classifier: open it as a Classifier",
         [&] { fer_fast::FaceFinder finder(argv[2]); });
  expect(ErrorCode::kModelUnsupported, "is a face finder: open it as a FaceFinder",
         [&] { fer_fast::Classifier classifier(argv[1]); });

  fer_fast::FaceFinder finder = open([](auto& o) { o.find_size = 64; });
  const fer_fast::Classifier classifier(argv[2]);
  const std::vector<uint8_t> pixels(300 * 200 * 3, 99);
  ImageView photo;
  photo.data = pixels.data();
  photo.size = pixels.size();
  photo.width = 300;
  photo.height = 200;
  ImageView wrong = photo;
  wrong.size -= 1;
  expect(ErrorCode::kInvalidArgument, "image 1: size must be at least", [&] { finder.find({photo, wrong}); });
  expect(ErrorCode::kInvalidArgument, "image 1: size must be at least",
         [&] { classifier.classify_faces(finder, {photo, wrong}); });
  // Nothing there, in photos of any shape: of one pixel, of a line, of none.
  for (const auto& [width, height] : {std::pair{1, 1}, std::pair{20000, 3}, std::pair{1, 200}, std::pair{300, 200}}) {
    photo.width = width;
    photo.height = height;
    require(finder.find(photo).empty() && classifier.classify_faces(finder, photo).empty());
  }
  require(finder.find(std::vector<ImageView>{}).empty());
  require(classifier.classify_faces(finder, std::vector<ImageView>{}).empty());

  fer_fast::FaceFinder moved = std::move(finder);
  expect(ErrorCode::kInvalidArgument, "this face finder was moved from", [&] { finder.find(photo); });
  expect(ErrorCode::kInvalidArgument, "this face finder was moved from", [&] { finder.describe(); });
  expect(ErrorCode::kInvalidArgument, "this face finder was moved from",
         [&] { classifier.classify_faces(finder, photo); });
  require(moved.find(photo).empty());
  return failures == 0 ? 0 : 1;
}
