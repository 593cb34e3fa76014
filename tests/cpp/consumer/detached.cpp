// MODEL: detached threads classify while the program ends, by quick_exit.
#include <fer_fast/classifier.h>

#include <atomic>
#include <cstdlib>
#include <thread>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  static const fer_fast::Classifier classifier(argv[1]);
  static const std::vector<uint8_t> pixels(40 * 40 * 3, 99);
  static std::atomic<int> calls{0};
  for (int i = 0; i < 3; ++i) {
    std::thread([] {
      fer_fast::ImageView image;
      image.data = pixels.data();
      image.size = pixels.size();
      image.width = image.height = 40;
      for (;; ++calls) classifier.classify(std::vector<fer_fast::ImageView>(20, image));
    }).detach();
  }
  while (calls < 5) std::this_thread::yield();
  std::quick_exit(0);
}
