// FINDER MODEL THREADS PHASES CALLS [SECONDS]: in each phase threads open models, use them and one that all share, and close
// them; there are so many phases, and more until so many seconds are over. A line a phase says what the process holds then:
// resident KiB, open files, threads.
#include <fer_fast/classifier.h>
#include <fer_fast/fer_fast.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

namespace {

long entries(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
}

long resident_kib() {
  long whole = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> whole >> resident;
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

void use(const std::string& finder_file, const std::string& model, const fer_fast::Classifier& shared, int calls) {
  const std::vector<uint8_t> pixels(300 * 200 * 3, 99);
  fer_fast::ImageView photo;
  photo.data = pixels.data(), photo.size = pixels.size(), photo.width = 300, photo.height = 200;
  std::atomic<int> told{0};
  fer_fast::Options options;
  options.on_call = [&](const fer_fast::Call&) { ++told; };
  options.threads = 1;
  const fer_fast::Classifier own(model, options);
  fer_fast::FinderOptions finder_options;
  finder_options.threads = 1;
  const fer_fast::FaceFinder finder(finder_file, finder_options);
  for (int call = 0; call < calls; ++call) {
    shared.classify({photo, photo, photo});
    own.classify(photo);
    own.classify(photo, {{20, 30, 90, 90}});
    own.classify_faces(finder, photo);
    fer_fast_classifier* none = nullptr;  // what fails leaves nothing, too
    if (fer_fast_open("nowhere.xml", nullptr, &none) != FER_FAST_MODEL_NOT_FOUND) std::abort();
  }
  if (told != 1 + 3 * calls) std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) return 2;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(argc == 7 ? std::stoi(argv[6]) : 0);
  const fer_fast::Classifier shared(argv[2]);
  for (int phase = 0; phase < std::stoi(argv[4]) || std::chrono::steady_clock::now() < end; ++phase) {
    std::vector<std::thread> threads;
    for (int i = 0; i < std::stoi(argv[3]); ++i) {
      threads.emplace_back(use, argv[1], argv[2], std::cref(shared), std::stoi(argv[5]));
    }
    for (std::thread& thread : threads) thread.join();
    std::cout << resident_kib() << ' ' << entries("/proc/self/fd") << ' ' << entries("/proc/self/task") << std::endl;
  }
}
