// classifier.h for C: codes instead of exceptions, text in the thread that called.
#include "c_interface.h"

namespace fer_fast {
namespace {

static_assert(static_cast<int32_t>(ErrorCode::kOutOfMemory) == FER_FAST_OUT_OF_MEMORY);
static_assert(static_cast<int32_t>(PixelFormat::kRgba8) == FER_FAST_RGBA8);
static_assert(static_cast<int32_t>(Precision::kBf16) == FER_FAST_PRECISION_BF16);
static_assert(static_cast<int32_t>(Goal::kLatency) == FER_FAST_LATENCY);

std::string& last_error() {
  thread_local std::string text;
  return text;
}

Options options_of(const fer_fast_options* given) {
  Options options;
  if (given == nullptr) return options;
  options.batch_size = given->batch_size;
  options.threads = given->threads;
  options.precision = static_cast<Precision>(given->precision);
  options.goal = static_cast<Goal>(given->goal);
  if (given->device != nullptr) options.device = given->device;
  return options;
}

}  // namespace

int32_t failed(ErrorCode code, const char* what) noexcept {
  try {
    last_error() = what;
  } catch (...) {  // no memory for the text: the code says enough
  }
  return static_cast<int32_t>(code);
}

}  // namespace fer_fast

using namespace fer_fast;

int32_t fer_fast_open(const char* model, const fer_fast_options* options, fer_fast_classifier** classifier) {
  return coded([&] {
    require(classifier != nullptr, "classifier must not be null");
    *classifier = nullptr;
    require(model != nullptr, "model must not be null");
    Classifier opened(model, options_of(options));
    std::string description = opened.describe();
    *classifier = new fer_fast_classifier{std::move(opened), std::move(description)};
  });
}

void fer_fast_close(fer_fast_classifier* classifier) { delete classifier; }

int32_t fer_fast_classify(const fer_fast_classifier* classifier, const fer_fast_image* images, size_t count,
                          float* probabilities, size_t capacity) {
  return coded([&] {
    require(classifier != nullptr, "classifier must not be null");
    if (count == 0) return;
    require(images != nullptr, "images must not be null");
    require(probabilities != nullptr, "probabilities must not be null");
    const size_t classes = classifier->classifier.classes().size();
    if (capacity / classes < count) {
      throw Error(ErrorCode::kInvalidArgument, "capacity must be at least count x classes, " + std::to_string(count) +
                                                   " x " + std::to_string(classes) + ", not " + std::to_string(capacity));
    }
    std::vector<ImageView> views(count);
    for (size_t i = 0; i < count; ++i) views[i] = view_of(images[i]);
    classifier->classifier.classify(views.data(), count, probabilities);
  });
}

size_t fer_fast_class_count(const fer_fast_classifier* classifier) {
  return classifier == nullptr ? 0 : classifier->classifier.classes().size();
}

int64_t fer_fast_image_size(const fer_fast_classifier* classifier) {
  return classifier == nullptr ? 0 : classifier->classifier.image_size();
}

const char* fer_fast_class_name(const fer_fast_classifier* classifier, size_t index) {
  return index < fer_fast_class_count(classifier) ? classifier->classifier.classes()[index].c_str() : nullptr;
}

const char* fer_fast_describe(const fer_fast_classifier* classifier) {
  return classifier == nullptr ? nullptr : classifier->description.c_str();
}

const char* fer_fast_last_error(void) { return last_error().c_str(); }
