// MODEL FRAMES BOXES OUT: of each frame, in a plain form of this test's own, every box, four float32, is classified; rows of
// probabilities go out. What is worked by hand and what is misuse comes first.
#include <fer_fast/fer_fast.h>

#include <cmath>
#include <iterator>
#include <limits>

#include "expect.h"
#include "images.h"

using fer_fast::Box;
using fer_fast::ErrorCode;
using fer_fast::ImageView;

static bool same(const fer_fast::Prediction& one, const fer_fast::Prediction& other) {
  return one.probabilities == other.probabilities;
}

// A square of the model's own size is the pixels that are there; outside of the frame, those at its edge.
static void classify_by_hand(const fer_fast::Classifier& classifier) {
  const int64_t side = classifier.image_size(), width = 3 * side, height = 2 * side;
  std::vector<uint8_t> pixels(static_cast<std::size_t>(width * height));
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * i >> 7);
  ImageView frame;
  frame.data = pixels.data();
  frame.size = pixels.size();
  frame.width = width;
  frame.height = height;
  frame.format = fer_fast::PixelFormat::kGrey8;
  ImageView inner = frame;
  inner.data += 5 * width + 7;
  inner.size -= static_cast<std::size_t>(5 * width + 7);
  inner.width = inner.height = side;
  inner.stride = width;
  const auto length = static_cast<float>(side);
  require(same(classifier.classify(frame, {{7, 5, length, length}})[0], classifier.classify(inner)));

  std::vector<uint8_t> edges(static_cast<std::size_t>(side * side));
  for (int64_t y = 0; y < side; ++y) {
    for (int64_t x = 0; x < side; ++x) {
      const int64_t row = std::max<int64_t>(0, y - 10), column = std::max<int64_t>(0, x - 20);
      edges[static_cast<std::size_t>(y * side + x)] = pixels[static_cast<std::size_t>(row * width + column)];
    }
  }
  inner.data = edges.data();
  inner.size = edges.size();
  inner.stride = 0;
  // Squared on its longer side about its centre, this box begins 20 to the left of the frame and 10 above it.
  require(same(classifier.classify(frame, {{-20, 0, length, length - 20}})[0], classifier.classify(inner)));
}

static void misuse(const fer_fast::Classifier& classifier, const char* model, const ImageView& frame) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN(), kHuge = 3e38f;
  const auto refused = [&](const std::string& words, const Box& box) {
    expect(ErrorCode::kInvalidArgument, words, [&] { classifier.classify(frame, {{1, 1, 2, 2}, box}); });
  };
  const std::string finite = "box 1: its numbers must be finite, width and height above 0, not ";
  refused(finite + "nan x 9 at 1, 1", {1, 1, kNone, 9});
  refused(finite, {1, kNone, 9, 9});
  refused(finite + "9 x 0 at 1, 1", {1, 1, 9, 0});
  refused(finite, {1, 1, -9, 9});
  refused("box 1: its square must lie within 1048576 pixels of the frame, not ", {1, 1, kHuge, 9});
  refused("box 1: its square must lie within", {-2e6f, 1, 9, 9});
  ImageView wrong = frame;
  wrong.size = 0;
  expect(ErrorCode::kInvalidArgument, "size must be at least", [&] { classifier.classify(wrong, {{1, 1, 2, 2}}); });
  float row[16];
  const Box box{1, 1, 5, 5};
  expect(ErrorCode::kInvalidArgument, "boxes must not be null", [&] { classifier.classify(frame, nullptr, 1, row); });
  expect(ErrorCode::kInvalidArgument, "probabilities must not be null", [&] { classifier.classify(frame, &box, 1, nullptr); });
  require(classifier.classify(frame, std::vector<Box>{}).empty());

  fer_fast_classifier* plain = nullptr;
  const fer_fast_options options = {sizeof(options), 0, 0, FER_FAST_PRECISION_FP32, 0, nullptr};
  require(fer_fast_open(model, &options, &plain) == FER_FAST_OK);
  const fer_fast_image view = {sizeof(view),
                               frame.data,
                               frame.size,
                               frame.width,
                               frame.height,
                               frame.stride,
                               static_cast<int32_t>(frame.format),
                               static_cast<int32_t>(frame.matrix),
                               static_cast<int32_t>(frame.range)};
  const fer_fast_box boxes[] = {{1, 1, 5, 5}, {0, 0, 0, 0}};
  require(fer_fast_classify_boxes(plain, &view, boxes, 1, row, 7) == FER_FAST_INVALID_ARGUMENT);
  require(fer_fast_classify_boxes(plain, &view, boxes, 2, row, 16) == FER_FAST_INVALID_ARGUMENT);
  require(std::string(fer_fast_last_error()).find("box 1: ") == 0);
  require(fer_fast_classify_boxes(plain, nullptr, boxes, 1, row, 16) == FER_FAST_INVALID_ARGUMENT);
  require(fer_fast_classify_boxes(plain, &view, nullptr, 1, row, 16) == FER_FAST_INVALID_ARGUMENT);
  require(fer_fast_classify_boxes(plain, &view, boxes, SIZE_MAX, row, SIZE_MAX) == FER_FAST_INVALID_ARGUMENT);
  require(fer_fast_classify_boxes(plain, &view, nullptr, 0, nullptr, 0) == FER_FAST_OK);
  require(fer_fast_classify_boxes(plain, &view, boxes, 1, row, 16) == FER_FAST_OK);
  require(std::equal(row, row + 8, classifier.classify(frame, {box})[0].probabilities.begin()));
  fer_fast_close(plain);
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const Images frames = read_images(argv[2]);
  std::ifstream file(argv[3], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<Box> boxes(bytes.size() / sizeof(Box));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(boxes.data()));
  fer_fast::Options options;
  options.precision = fer_fast::Precision::kFp32;
  const fer_fast::Classifier classifier(argv[1], options);
  classify_by_hand(classifier);
  misuse(classifier, argv[1], frames.views[0]);
  std::ofstream out(argv[4], std::ios::binary);
  for (const ImageView& frame : frames.views) {
    for (const fer_fast::Prediction& found : classifier.classify(frame, boxes)) {
      out.write(reinterpret_cast<const char*>(found.probabilities.data()),
                static_cast<std::streamsize>(found.probabilities.size() * sizeof(float)));
    }
  }
  return failures == 0 ? 0 : 1;
}
