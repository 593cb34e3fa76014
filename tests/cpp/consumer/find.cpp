// FINDER MODEL IMAGES OUT [THREADS [PRECISION [FIND_SIZE [PRIOR]]]]: photos in a plain form of this test's own come in. Of each
// its faces go out: their number as int64, then of each 15 numbers and its probabilities, float32. Several threads
// share finder and classifier and must all give the first one's faces.
#include <cmath>
#include <iostream>
#include <thread>

#include "images.h"

using Faces = std::vector<fer_fast::FacePrediction>;

static bool same(const Faces& some, const Faces& others) {
  if (some.size() != others.size()) return false;
  for (std::size_t i = 0; i < some.size(); ++i) {
    if (std::abs(some[i].face.x - others[i].face.x) > 1e-2f || some[i].prediction.label != others[i].prediction.label)
      return false;
  }
  return true;
}

static void write(std::ofstream& out, const Faces& faces) {
  const auto count = static_cast<int64_t>(faces.size());
  out.write(reinterpret_cast<const char*>(&count), sizeof(count));
  for (const auto& [face, prediction] : faces) {
    out.write(reinterpret_cast<const char*>(&face), sizeof(face));
    out.write(reinterpret_cast<const char*>(prediction.probabilities.data()),
              static_cast<std::streamsize>(prediction.probabilities.size() * sizeof(float)));
  }
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  try {
    const Images photos = read_images(argv[3]);
    fer_fast::FinderOptions finding;
    fer_fast::Options options;
    finding.precision = options.precision =
        argc > 6 && std::string(argv[6]) == "auto" ? fer_fast::Precision::kAuto : fer_fast::Precision::kFp32;
    if (argc > 7) finding.find_size = std::stoll(argv[7]);
    const fer_fast::FaceFinder finder(argv[1], finding);
    const fer_fast::Classifier classifier(argv[2], options, argc > 8 ? argv[8] : "train");
    std::cout << finder.describe() << classifier.describe();
    const std::vector<Faces> found = classifier.classify_faces(finder, photos.views);
    std::ofstream out(argv[4], std::ios::binary);
    for (const Faces& faces : found) write(out, faces);
    std::vector<std::thread> threads;
    std::vector<int> wrong(static_cast<std::size_t>(argc > 5 ? std::stoi(argv[5]) : 0));
    for (int& count : wrong) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < found.size(); ++i) {
          count += !same(classifier.classify_faces(finder, photos.views[i]), found[i]);
          count += finder.find(photos.views[i]).size() != found[i].size();
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
