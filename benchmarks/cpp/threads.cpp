// MODEL PRECISION SECONDS: one face a call, from 1 to 8 threads: by fer_fast; by bare OpenVINO, a request a thread; and by
// replicas, models of one thread each that take faces from a queue. A JSON object goes out: of each number of threads and each
// way calls a second and percentiles of what a call took, in milliseconds. The ways take turns, and give the same answers.
#include <fer_fast/classifier.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>

#include "replicas.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kCallers[] = {1, 2, 3, 4, 8};

// `rank` of 0 to 1; the values are sorted.
double percentile(const std::vector<double>& values, double rank) {
  return values[static_cast<std::size_t>(rank * static_cast<double>(values.size() - 1) + 0.5)];
}

// What `callers` threads see of ask(caller), call after call.
template <typename Ask>
void measure(const char* name, int callers, double seconds, const Ask& ask) {
  std::vector<std::vector<double>> took(static_cast<std::size_t>(callers));
  std::vector<std::thread> threads;
  const auto begun = Clock::now();
  const auto end = begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  for (int caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      for (auto now = Clock::now(); now < end;) {
        ask(caller);
        const auto done = Clock::now();
        took[static_cast<std::size_t>(caller)].push_back(std::chrono::duration<double, std::milli>(done - now).count());
        now = done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double all = std::chrono::duration<double>(Clock::now() - begun).count();
  std::vector<double> calls;
  for (const auto& each : took) calls.insert(calls.end(), each.begin(), each.end());
  std::sort(calls.begin(), calls.end());
  std::cout << '"' << name << "\": {\"rate\": " << static_cast<double>(calls.size()) / all
            << ", \"p50_ms\": " << percentile(calls, 0.5) << ", \"p95_ms\": " << percentile(calls, 0.95)
            << ", \"p99_ms\": " << percentile(calls, 0.99) << '}';
}

void require_same(const std::vector<float>& one, const std::vector<float>& other) {
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (!(std::abs(one[i] - other[i]) <= 1e-3f)) throw std::runtime_error("another way gives another answer");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string model = argv[1];
  const bool fp32 = std::string(argv[2]) == "fp32";
  const double seconds = std::stod(argv[3]);
  fer_fast::Options options;
  if (fp32) options.precision = fer_fast::Precision::kFp32;
  const fer_fast::Classifier classifier(model, options);
  const std::size_t side = static_cast<std::size_t>(classifier.image_size()), classes = classifier.classes().size();
  std::vector<uint8_t> pixels(side * side * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 31 % 251);
  fer_fast::ImageView face;
  face.data = pixels.data(), face.size = pixels.size(), face.width = face.height = classifier.image_size();

  ov::Core core;
  const Compile compile(core, model, fp32);
  ov::CompiledModel bare = compile(ov::hint::performance_mode(ov::hint::PerformanceMode::THROUGHPUT));
  const int most = *std::max_element(std::begin(kCallers), std::end(kCallers));
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(most), std::vector<float>(classes));
  std::vector<ov::InferRequest> requests;
  for (std::vector<float>& row : rows) {
    requests.push_back(bare.create_infer_request());
    set_tensors(requests.back(), pixels.data(), side, row.data(), classes);
  }
  Replicas replicas(compile, side, classes);

  const auto ours = [&](int caller) { classifier.classify(&face, 1, rows[static_cast<std::size_t>(caller)].data()); };
  const auto by_bare = [&](int caller) { requests[static_cast<std::size_t>(caller)].infer(); };
  const auto by_replicas = [&](int caller) { replicas.ask(pixels.data(), rows[static_cast<std::size_t>(caller)].data()); };
  ours(0);
  const std::vector<float> wanted = rows[0];
  by_bare(0);
  require_same(rows[0], wanted);
  by_replicas(0);
  require_same(rows[0], wanted);

  std::cout << '{';
  for (const int callers : kCallers) {
    std::cout << (callers == 1 ? "\"" : ", \"") << callers << "\": {";
    measure("fer_fast", callers, seconds, ours);
    std::cout << ", ";
    measure("bare", callers, seconds, by_bare);
    std::cout << ", ";
    measure("replicas", callers, seconds, by_replicas);
    std::cout << '}';
  }
  std::cout << '}' << std::endl;
  return 0;
}
