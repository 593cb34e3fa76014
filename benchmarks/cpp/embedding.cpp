// MODEL PRECISION IMAGES WIDTH HEIGHT SECONDS: raw RGB images of one size come in; a rate, and latencies beside those of
// bare OpenVINO on pixels of the model's own size, go out as name=value lines.
#include <fer_fast/classifier.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <openvino/openvino.hpp>

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

fer_fast::ImageView view_of(const uint8_t* data, int64_t width, int64_t height) {
  fer_fast::ImageView view;
  view.data = data;
  view.size = static_cast<std::size_t>(width * height * 3);
  view.width = width;
  view.height = height;
  return view;
}

// Images a second of one call after the other, each with all images.
double rate(const fer_fast::Classifier& classifier, const std::vector<fer_fast::ImageView>& images, double seconds) {
  std::vector<float> probabilities(images.size() * classifier.classes().size());
  classifier.classify(images.data(), images.size(), probabilities.data());
  std::size_t calls = 0;
  const auto begun = Clock::now();
  do {
    classifier.classify(images.data(), images.size(), probabilities.data());
    ++calls;
  } while (seconds_since(begun) < seconds);
  return static_cast<double>(calls * images.size()) / seconds_since(begun);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const std::string model = argv[1];
  const bool fp32 = std::string(argv[2]) == "fp32";
  const int64_t width = std::stoll(argv[4]), height = std::stoll(argv[5]);
  const double seconds = std::stod(argv[6]);
  std::ifstream file(argv[3], std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto* pixels = reinterpret_cast<const uint8_t*>(bytes.data());
  std::vector<fer_fast::ImageView> images;
  for (std::size_t at = 0; at + static_cast<std::size_t>(width * height * 3) <= bytes.size();
       at += static_cast<std::size_t>(width * height * 3)) {
    images.push_back(view_of(pixels + at, width, height));
  }
  if (images.empty()) return 2;

  fer_fast::Options options;
  options.precision = fp32 ? fer_fast::Precision::kFp32 : fer_fast::Precision::kAuto;
  {
    const fer_fast::Classifier classifier(model, options);
    std::cout << "images_per_second=" << rate(classifier, images, seconds) << '\n';
  }

  options.goal = fer_fast::Goal::kLatency;
  options.batch_size = 1;
  const fer_fast::Classifier classifier(model, options);
  const int64_t side = classifier.image_size();
  const std::vector<uint8_t> square(static_cast<std::size_t>(side * side * 3), 90);
  const fer_fast::ImageView face = view_of(square.data(), side, side);
  ov::Core core;
  const auto capabilities = core.get_property("CPU", ov::device::capabilities);
  const bool bf16 = !fp32 && std::find(capabilities.begin(), capabilities.end(), "BF16") != capabilities.end();
  ov::CompiledModel compiled = core.compile_model(core.read_model(model), "CPU",
                                                  ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                                                  ov::hint::inference_precision(bf16 ? ov::element::bf16 : ov::element::f32));
  ov::InferRequest request = compiled.create_infer_request();
  const auto extent = static_cast<std::size_t>(side);
  request.set_input_tensor(ov::Tensor(ov::element::u8, {1, extent, extent, 3}, const_cast<uint8_t*>(square.data())));

  std::vector<double> ours, bare;
  float probabilities[1000];
  const auto begun = Clock::now();
  for (int call = 0; ours.empty() || seconds_since(begun) < seconds; ++call) {
    auto started = Clock::now();  // in turn: what else the machine does meets both
    classifier.classify(&face, 1, probabilities);
    if (call >= 10) ours.push_back(1e3 * seconds_since(started));
    started = Clock::now();
    request.infer();
    if (call >= 10) bare.push_back(1e3 * seconds_since(started));
  }
  std::cout << "latency_ms=" << median(ours) << "\nbare_latency_ms=" << median(bare) << '\n';
  return 0;
}
