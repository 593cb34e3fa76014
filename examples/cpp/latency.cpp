// latency MODEL [CALLS]: how soon one face is answered, in milliseconds.
#include <fer_fast/classifier.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
  const int calls = argc == 3 ? std::atoi(argv[2]) : 300;
  if ((argc != 2 && argc != 3) || calls < 1 || calls > 1000000) {
    std::cerr << "usage: latency MODEL [CALLS], 1 to 1000000 calls\n";
    return 2;
  }
  try {
    fer_fast::Options options;
    options.batch_size = 1;
    options.goal = fer_fast::Goal::kLatency;
    const fer_fast::Classifier classifier(argv[1], options);

    constexpr int64_t kSide = 240;  // of a face in a camera's picture
    std::vector<uint8_t> pixels(kSide * kSide * 3);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 31 % 251);
    fer_fast::ImageView face;
    face.data = pixels.data();
    face.size = pixels.size();
    face.width = face.height = kSide;

    std::vector<double> milliseconds;
    for (int call = 0; call < calls + 10; ++call) {  // the first ten warm up
      const auto begun = std::chrono::steady_clock::now();
      classifier.classify(face);
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
      if (call >= 10) milliseconds.push_back(took.count());
    }
    std::sort(milliseconds.begin(), milliseconds.end());
    std::cout << classifier.describe();
    for (const std::size_t percent : {50u, 95u, 99u}) {
      std::cout << 'p' << percent << '=' << milliseconds[(milliseconds.size() - 1) * percent / 100] << " ms\n";
    }
  } catch (const std::exception& error) {
    std::cerr << "latency: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
