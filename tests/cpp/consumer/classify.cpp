// MODEL IMAGES OUT [THREADS [DEVICE [PRIOR [PRECISION [PINNING]]]]]: images in a plain form of this test's own come in, rows of probabilities,
// float32, go out. Several threads share one classifier and must all give the first one's rows.
#include <iostream>
#include <thread>

#include "images.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  try {
    const Images images = read_images(argv[2]);
    fer_fast::Options options;
    options.precision = fer_fast::Precision::kFp32;
    if (std::string(argv[1]).find(".xml") == std::string::npos) options.precision = fer_fast::Precision::kAuto;
    if (argc > 7) options.precision = static_cast<fer_fast::Precision>(std::stoi(argv[7]));
    if (argc > 8) options.pinning = static_cast<fer_fast::Pinning>(std::stoi(argv[8]));
    if (argc > 5) options.device = argv[5];
    auto earlier = std::make_unique<fer_fast::Classifier>(argv[1], options);
    const fer_fast::Classifier classifier(argv[1], options, argc > 6 ? argv[6] : "train");
    earlier.reset();  // a later one does not need it
    std::cout << classifier.describe();
    const auto predictions = classifier.classify(images.views);
    std::ofstream out(argv[3], std::ios::binary);
    for (const auto& prediction : predictions) {
      if (prediction.label != classifier.classes()[prediction.index]) return 3;
      if (prediction.confidence != prediction.probabilities[prediction.index]) return 3;
      out.write(reinterpret_cast<const char*>(prediction.probabilities.data()),
                static_cast<std::streamsize>(prediction.probabilities.size() * sizeof(float)));
    }
    std::vector<std::thread> threads;
    std::vector<int> wrong(static_cast<std::size_t>(argc > 4 ? std::stoi(argv[4]) : 0));
    for (int& count : wrong) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < images.views.size(); ++i) {
          const auto found = classifier.classify(images.views[i]);
          for (std::size_t k = 0; k < found.probabilities.size(); ++k) {
            count += std::abs(found.probabilities[k] - predictions[i].probabilities[k]) > 1e-4f;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const int count : wrong) {
      if (count != 0) return 4;
    }
  } catch (const fer_fast::Error& error) {
    std::cerr << static_cast<int>(error.code()) << ' ' << error.what() << '\n';
    return 1;
  }
  return 0;
}
