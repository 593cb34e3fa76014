// classifier.h for C: codes instead of exceptions, text in the thread that called.
#include "c_interface.h"

#include "resize.h"

namespace fer_fast {
namespace {

static_assert(static_cast<int32_t>(ErrorCode::kOutOfMemory) == FER_FAST_OUT_OF_MEMORY);
static_assert(static_cast<int32_t>(PixelFormat::kYuyv) == FER_FAST_YUYV);
static_assert(static_cast<int32_t>(YuvMatrix::kBt709) == FER_FAST_BT709);
static_assert(static_cast<int32_t>(YuvRange::kFull) == FER_FAST_FULL_RANGE);
static_assert(static_cast<int32_t>(Precision::kBf16) == FER_FAST_PRECISION_BF16);
static_assert(static_cast<int32_t>(Goal::kLatency) == FER_FAST_LATENCY);
static_assert(static_cast<int32_t>(Pinning::kOn) == FER_FAST_PINNING_ON);

std::string& last_error() {
  thread_local std::string text;
  return text;
}

Options options_of(const fer_fast_options* given) {
  Options options;
  if (given == nullptr) return options;
  const fer_fast_options known = known_part(given, offsetof(fer_fast_options, on_call), "options");
  options.batch_size = known.batch_size;
  options.threads = known.threads;
  options.precision = static_cast<Precision>(known.precision);
  options.goal = static_cast<Goal>(known.goal);
  if (known.device != nullptr) options.device = known.device;
  options.on_call = on_call_of(known.on_call, known.context);
  options.pinning = static_cast<Pinning>(known.pinning);
  return options;
}

// An array whose elements are as large as the caller's struct.
std::vector<ImageView> views_of(const fer_fast_image* images, std::size_t count) {
  std::vector<ImageView> views(count);
  const auto* const bytes = reinterpret_cast<const char*>(images);
  const std::size_t size = images->struct_size;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* const image = reinterpret_cast<const fer_fast_image*>(bytes + i * size);
    const std::string name = "image " + std::to_string(i);
    if (image->struct_size != size) {  // first: as many bytes of it are read
      throw Error(ErrorCode::kInvalidArgument, name + ": struct_size must be image 0's " + std::to_string(size) +
                                                   ", not " + std::to_string(image->struct_size));
    }
    views[i] = view_of(image, name);
  }
  return views;
}

void check_capacity(const fer_fast_classifier& classifier, std::size_t count, std::size_t capacity) {
  check_count(count);
  const std::size_t classes = classifier.classifier.classes().size();
  if (capacity / classes >= count) return;
  throw Error(ErrorCode::kInvalidArgument, "capacity must be at least count x classes, " + std::to_string(count) + " x " +
                                               std::to_string(classes) + ", not " + std::to_string(capacity));
}

template <typename Model>
int32_t open(const Model& model, const fer_fast_options* options, const char* prior, fer_fast_classifier** classifier) {
  return coded([&] {
    require(classifier != nullptr, "classifier must not be null");
    *classifier = nullptr;
    Classifier opened(model(), options_of(options), prior == nullptr ? "train" : prior);
    std::string description = opened.describe();
    *classifier = new fer_fast_classifier{std::move(opened), std::move(description)};
  });
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

const char* fer_fast_version(void) { return FER_FAST_VERSION; }

int32_t fer_fast_abi(void) { return FER_FAST_ABI; }

int32_t fer_fast_open(const char* model, const fer_fast_options* options, fer_fast_classifier** classifier) {
  return fer_fast_open_with_prior(model, options, nullptr, classifier);
}

int32_t fer_fast_open_with_prior(const char* model, const fer_fast_options* options, const char* prior,
                                 fer_fast_classifier** classifier) {
  return open([&] { return named(model); }, options, prior, classifier);
}

int32_t fer_fast_open_bytes(const void* graph, size_t graph_size, const void* weights, size_t weights_size,
                            const fer_fast_options* options, const char* prior, fer_fast_classifier** classifier) {
  return open([&] { return ModelBytes{graph, graph_size, weights, weights_size}; }, options, prior, classifier);
}

void fer_fast_close(fer_fast_classifier* classifier) { delete classifier; }

int32_t fer_fast_classify(const fer_fast_classifier* classifier, const fer_fast_image* images, size_t count,
                          float* probabilities, size_t capacity) {
  return coded([&] {
    require(classifier != nullptr, "classifier must not be null");
    if (count == 0) return;
    require(images != nullptr, "images must not be null");
    require(probabilities != nullptr, "probabilities must not be null");
    check_capacity(*classifier, count, capacity);
    const std::vector<ImageView> views = views_of(images, count);
    classifier->classifier.classify(views.data(), count, probabilities);
  });
}

int32_t fer_fast_classify_boxes(const fer_fast_classifier* classifier, const fer_fast_image* frame,
                                const fer_fast_box* boxes, size_t count, float* probabilities, size_t capacity) {
  return coded([&] {
    require(classifier != nullptr, "classifier must not be null");
    require(frame != nullptr, "frame must not be null");
    if (count == 0) return;
    require(boxes != nullptr, "boxes must not be null");
    require(probabilities != nullptr, "probabilities must not be null");
    check_capacity(*classifier, count, capacity);
    std::vector<Box> known(count);
    for (size_t i = 0; i < count; ++i) known[i] = {boxes[i].x, boxes[i].y, boxes[i].width, boxes[i].height};
    classifier->classifier.classify(view_of(frame, "frame"), known.data(), count, probabilities);
  });
}

int32_t fer_fast_enqueue(const fer_fast_classifier* classifier, const fer_fast_device_images* images) {
  return coded([&] {
    require(classifier != nullptr, "classifier must not be null");
    require(images != nullptr, "images must not be null");
    const fer_fast_device_images known = known_part(images, sizeof(fer_fast_device_images), "images");
    classifier->classifier.enqueue(
        {known.pixels, known.size, known.count, known.probabilities, known.capacity, known.stream});
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
