// FINDER MODEL: calls that were made before begin no thread, and take no memory for pixels. A line a kind of call says how many
// threads and how many blocks of 4 KiB or more its repetition cost.
#include <dlfcn.h>
#include <fer_fast/classifier.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <new>

namespace {

std::atomic<int> threads{0}, blocks{0};

void* taken(std::size_t bytes) {
  if (bytes >= 4096) ++blocks;
  if (void* block = std::malloc(bytes == 0 ? 1 : bytes)) return block;
  throw std::bad_alloc();
}

}  // namespace

// The libraries' calls come here, too.
void* operator new(std::size_t bytes) { return taken(bytes); }
void* operator new[](std::size_t bytes) { return taken(bytes); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete[](void* block, std::size_t) noexcept { std::free(block); }

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*begin)(void*), void* argument) noexcept {
  ++threads;
  static const auto create = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, begin, argument);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const fer_fast::Classifier classifier(argv[2]);
  const fer_fast::FaceFinder finder(argv[1]);
  std::vector<uint8_t> pixels(300 * 200 * 3, 99);
  fer_fast::ImageView photo;
  photo.data = pixels.data(), photo.size = pixels.size(), photo.width = 300, photo.height = 200;
  fer_fast::ImageView frame = photo;
  frame.format = fer_fast::PixelFormat::kNv12;
  frame.matrix = fer_fast::YuvMatrix::kBt601, frame.range = fer_fast::YuvRange::kLimited;
  const std::vector<fer_fast::ImageView> many(40, photo), photos{photo, frame, photo, frame};
  const std::vector<fer_fast::Box> boxes(40, {20, 30, 90, 90});
  std::vector<float> rows(40 * classifier.classes().size());

  // Which thread does which piece is chance, so that all are made to know all sizes.
  const auto again = [](const char* what, const std::function<void()>& call) {
    for (int i = 0; i < 50; ++i) call();
    threads = blocks = 0;
    for (int i = 0; i < 10; ++i) call();
    std::cout << what << ' ' << threads << ' ' << blocks << std::endl;
  };
  again("face", [&] { classifier.classify(&photo, 1, rows.data()); });
  again("faces", [&] { classifier.classify(many.data(), many.size(), rows.data()); });
  again("boxes", [&] { classifier.classify(frame, boxes.data(), boxes.size(), rows.data()); });
  again("photos", [&] { finder.find(photos); });
}
