// MODEL: images on a card, whose probabilities stay there: those that classify gives, behind what a stream had before, without
// a wait; and what is refused. The stand-in runs a stream's work only when it is waited for.
#include <cuda_runtime_api.h>
#include <fer_fast/classifier.h>
#include <fer_fast/fer_fast.h>

#include <atomic>
#include <optional>
#include <thread>

#include "../consumer/expect.h"

using fer_fast::Classifier;
using fer_fast::DeviceImages;
using fer_fast::ErrorCode;

namespace {

constexpr float kUntouched = -1;

// A thread's card, as a program that uses CUDA has it.
struct Card {
  explicit Card(int card) { cudaSetDevice(card); }
  ~Card() { cuCtxSetCurrent(nullptr); }
};

// Pixels in pinned memory and on the card, what is found of them on the card, and their stream.
class Images {
 public:
  Images(const Classifier& classifier, std::size_t count, uint8_t shade)
      : side_(classifier.image_size()), count_(count), floats_(count * classifier.classes().size()) {
    bytes_ = count * static_cast<std::size_t>(side_ * side_ * 3);
    cudaHostAlloc(reinterpret_cast<void**>(&pixels_), bytes_, cudaHostAllocDefault);
    cudaHostAlloc(reinterpret_cast<void**>(&found_), floats_ * sizeof(float), cudaHostAllocDefault);
    cudaMalloc(reinterpret_cast<void**>(&there_), bytes_);
    cudaMalloc(reinterpret_cast<void**>(&answers_), floats_ * sizeof(float));
    cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
    const std::size_t each = bytes_ / count;
    for (std::size_t i = 0; i < bytes_; ++i) pixels_[i] = static_cast<uint8_t>(shade + i / each * 7);
    std::fill_n(answers_, floats_, kUntouched);  // the stand-in's memory is the host's
  }
  ~Images() {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
    cudaFree(answers_);
    cudaFree(there_);
    cudaFreeHost(found_);
    cudaFreeHost(pixels_);
  }

  DeviceImages view() const { return {there_, bytes_, count_, answers_, floats_, stream_}; }
  const uint8_t* pixels() const { return pixels_; }
  bool untouched() const { return answers_[0] == kUntouched; }
  void copy_there() { cudaMemcpyAsync(there_, pixels_, bytes_, cudaMemcpyHostToDevice, stream_); }

  std::vector<float> answers() {
    cudaMemcpyAsync(found_, answers_, floats_ * sizeof(float), cudaMemcpyDeviceToHost, stream_);
    cudaStreamSynchronize(stream_);
    return {found_, found_ + floats_};
  }

  std::vector<float> wanted(const Classifier& classifier) const {
    std::vector<fer_fast::ImageView> views(count_);
    for (std::size_t i = 0; i < count_; ++i) {
      views[i].data = pixels_ + i * (bytes_ / count_), views[i].size = bytes_ / count_;
      views[i].width = views[i].height = side_;
    }
    std::vector<float> rows(floats_);
    classifier.classify(views.data(), count_, rows.data());
    return rows;
  }

 private:
  int64_t side_;
  std::size_t count_, floats_, bytes_;
  uint8_t *pixels_ = nullptr, *there_ = nullptr;
  float *found_ = nullptr, *answers_ = nullptr;
  cudaStream_t stream_ = nullptr;
};

void probabilities_are_those_of_classify(const Classifier& classifier) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int thread = 0; thread < 6; ++thread) {
    threads.emplace_back([&, thread] {
      const Card card(0);
      for (std::size_t count = 1; count < 30; count += 3) {
        Images images(classifier, count, static_cast<uint8_t>(40 * thread));
        images.copy_there();
        classifier.enqueue(images.view());
        if (images.wanted(classifier) != images.answers()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  require(wrong == 0);
}

void nothing_waits_but_the_end(const char* model) {
  const Card card(0);
  std::optional<Classifier> classifier(std::in_place, model);
  Images images(*classifier, 9, 5), others(*classifier, 9, 90);
  const std::vector<float> wanted = images.wanted(*classifier), of_others = others.wanted(*classifier);
  for (Images* each : {&images, &others, &images, &others}) {  // more than there are streams
    each->copy_there();
    classifier->enqueue(each->view());
  }
  require(images.untouched() && others.untouched());
  classifier.reset();
  require(!images.untouched() && !others.untouched());
  require(images.answers() == wanted && others.answers() == of_others);
}

void the_default_stream_is_one(const Classifier& classifier) {
  const Card card(0);
  Images images(classifier, 3, 60);
  images.copy_there();
  DeviceImages view = images.view();
  cudaStreamSynchronize(static_cast<cudaStream_t>(view.stream));
  view.stream = nullptr;
  classifier.enqueue(view);
  require(images.untouched());
  cudaStreamSynchronize(nullptr);
  require(images.answers() == images.wanted(classifier));
}

void what_cannot_be_is_told(const char* model, const Classifier& classifier) {
  const Card card(0);
  Images images(classifier, 4, 5);
  const auto refused = [&](const char* words, auto&& change) {
    DeviceImages view = images.view();
    change(view);
    expect(ErrorCode::kInvalidArgument, words, [&] { classifier.enqueue(view); });
  };
  std::vector<float> rows(100);
  refused("pixels must not be null", [](DeviceImages& view) { view.pixels = nullptr; });
  refused("probabilities must not be null", [](DeviceImages& view) { view.probabilities = nullptr; });
  refused("size must be at least count x an image's bytes, 4 x", [](DeviceImages& view) { --view.size; });
  refused("capacity must be at least count x classes, 4 x 3, not 11", [](DeviceImages& view) { --view.capacity; });
  refused("size must be at least", [](DeviceImages& view) { view.count = SIZE_MAX; });
  refused("pixels must be memory of card 0, not of the host", [&](DeviceImages& view) { view.pixels = images.pixels(); });
  refused("probabilities must be memory of card 0, not of the host",
          [&](DeviceImages& view) { view.probabilities = rows.data(); });
  fer_fast::Options options;
  options.device = "cuda:1";
  const Classifier other(model, options);
  expect(ErrorCode::kInvalidArgument, "pixels must be memory of card 1, not of card 0", [&] { other.enqueue(images.view()); });
  const Classifier balanced(model, {}, "mean=1,other=0,third=1");
  expect(ErrorCode::kInvalidArgument, "prior must be train for images on a card, where nothing is multiplied, not mean=0.5",
         [&] { balanced.enqueue(images.view()); });
  const auto stream = static_cast<cudaStream_t>(images.view().stream);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  refused("stream must not be captured", [](DeviceImages&) {});
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) cudaGraphDestroy(graph);
  refused("pixels must not be null", [](DeviceImages& view) { view.pixels = nullptr, view.probabilities = nullptr; });
  DeviceImages none;
  classifier.enqueue(none);  // of no images nothing is asked
  require(images.untouched());
}

void c_has_the_same(const char* model, const Classifier& classifier) {
  const Card card(0);
  Images images(classifier, 8, 70);
  images.copy_there();
  fer_fast_classifier* plain = nullptr;
  require(fer_fast_open(model, nullptr, &plain) == FER_FAST_OK);
  const DeviceImages view = images.view();
  fer_fast_device_images given = {sizeof(given), view.pixels, view.size, view.count, view.probabilities, view.capacity, view.stream};
  require(fer_fast_enqueue(plain, &given) == FER_FAST_OK);
  require(images.answers() == images.wanted(classifier));
  given.struct_size = 8;
  require(fer_fast_enqueue(plain, &given) == FER_FAST_INVALID_ARGUMENT);
  require(std::string(fer_fast_last_error()).find("images: struct_size must be") != std::string::npos);
  require(fer_fast_enqueue(plain, nullptr) == FER_FAST_INVALID_ARGUMENT);
  require(fer_fast_enqueue(nullptr, &given) == FER_FAST_INVALID_ARGUMENT);
  fer_fast_close(plain);
}

void it_is_told(const char* model) {
  const Card card(0);
  std::string told;
  fer_fast::Options options;
  options.on_call = [&](const fer_fast::Call& call) { told = std::string(call.what) + ' ' + std::to_string(call.faces); };
  const Classifier classifier(model, options);
  Images images(classifier, 7, 70);
  images.copy_there();
  classifier.enqueue(images.view());
  require(told == "enqueue 7");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const Classifier classifier(argv[1]);
  probabilities_are_those_of_classify(classifier);
  nothing_waits_but_the_end(argv[1]);
  the_default_stream_is_one(classifier);
  what_cannot_be_is_told(argv[1], classifier);
  c_has_the_same(argv[1], classifier);
  it_is_told(argv[1]);
  return failures == 0 ? 0 : 1;
}
