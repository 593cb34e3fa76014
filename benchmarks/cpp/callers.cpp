// MODEL PRECISION SECONDS ROUNDS: faces a second, and processor time a face, of three threads that ask for one face each, call
// after call: by classify, and by a queue that fills batches within a deadline; and of one thread that asks for 64 at once.
// A line of JSON a round, in which the ways take turns.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <iostream>

#include "queued.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kCallers = 3;
constexpr std::size_t kMany = 64;

double processor_ms() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto of = [](const timeval& time) {
    return 1e3 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_usec);
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

// What `callers` threads reach together, each with ask(), which is `faces` faces; as a member of a JSON object.
void measure(const char* name, int callers, std::size_t faces, double seconds, const std::function<void()>& ask) {
  std::atomic<std::size_t> asked{0};
  std::vector<std::thread> threads;
  const double used = processor_ms();
  const auto begun = Clock::now();
  const auto end = begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&] {
      do {
        ask();
        asked += faces;
      } while (Clock::now() < end);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto all = static_cast<double>(asked);
  const double took = std::chrono::duration<double>(Clock::now() - begun).count();
  std::cout << '"' << name << "\": {\"rate\": " << all / took << ", \"processor_ms\": " << (processor_ms() - used) / all << '}';
}

void require_same(const std::vector<float>& one, const std::vector<float>& other) {
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (std::abs(one[i] - other.at(i)) > 1e-3f) throw std::runtime_error("the queue's answer is another");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  fer_fast::Options options;
  if (std::string(argv[2]) == "fp32") options.precision = fer_fast::Precision::kFp32;
  const fer_fast::Classifier classifier(argv[1], options);
  const int64_t side = classifier.image_size();
  const double seconds = std::stod(argv[3]);
  std::vector<uint8_t> pixels(static_cast<std::size_t>(side * side * 3));
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 31 % 251);
  fer_fast::ImageView face;
  face.data = pixels.data(), face.size = pixels.size(), face.width = face.height = side;
  const std::vector<fer_fast::ImageView> many(kMany, face);

  for (int round = 0; round < std::stoi(argv[4]); ++round) {
    std::cout << '{';
    measure("one_each", kCallers, 1, seconds, [&] { classifier.classify(face); });
    // One worker for all; and one a stream of the engine.
    for (const int workers : {1, 2}) {
      Queue queue(classifier, kCallers, std::chrono::microseconds(workers == 1 ? 2000 : 500), workers);
      require_same(queue.submit(face).get(), classifier.classify(face).probabilities);
      std::cout << ", ";
      measure(workers == 1 ? "queue_one_worker" : "queue_two_workers", kCallers, 1, seconds,
              [&] { queue.submit(face).get(); });
    }
    std::cout << ", ";
    measure("many_at_once", 1, kMany, seconds, [&] { classifier.classify(many); });
    std::cout << '}' << std::endl;
  }
  return 0;
}
