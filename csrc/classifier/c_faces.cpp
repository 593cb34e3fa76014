// faces.h for C.
#include <algorithm>

#include "c_interface.h"

struct fer_fast_finder {
  fer_fast::FaceFinder finder;
  std::string description;
};

namespace fer_fast {
namespace {

static_assert(sizeof(fer_fast_face) == sizeof(Face) && offsetof(fer_fast_face, score) == offsetof(Face, score));

FinderOptions finder_options_of(const fer_fast_finder_options* given) {
  FinderOptions options;
  if (given == nullptr) return options;
  const fer_fast_finder_options known = known_part(given, offsetof(fer_fast_finder_options, on_call), "options");
  if (known.find_size != 0) options.find_size = known.find_size;
  if (known.score != 0) options.score = known.score;
  if (known.min_face != 0) options.min_face = known.min_face;
  options.max_faces = known.max_faces;
  options.threads = known.threads;
  options.precision = static_cast<Precision>(known.precision);
  options.goal = static_cast<Goal>(known.goal);
  if (known.device != nullptr) options.device = known.device;
  options.on_call = on_call_of(known.on_call, known.context);
  options.pinning = static_cast<Pinning>(known.pinning);
  return options;
}

fer_fast_face face_of(const Face& face) {
  fer_fast_face found{face.x, face.y, face.width, face.height, {}, face.score};
  for (int i = 0; i < 5; ++i) {
    found.landmarks[2 * i] = face.landmarks[i].x;
    found.landmarks[2 * i + 1] = face.landmarks[i].y;
  }
  return found;
}

template <typename Model>
int32_t open(const Model& model, const fer_fast_finder_options* options, fer_fast_finder** finder) {
  return coded([&] {
    require(finder != nullptr, "finder must not be null");
    *finder = nullptr;
    FaceFinder opened(model(), finder_options_of(options));
    std::string description = opened.describe();
    *finder = new fer_fast_finder{std::move(opened), std::move(description)};
  });
}

}  // namespace
}  // namespace fer_fast

using namespace fer_fast;

int32_t fer_fast_finder_open(const char* model, const fer_fast_finder_options* options, fer_fast_finder** finder) {
  return open([&] { return named(model); }, options, finder);
}

int32_t fer_fast_finder_open_bytes(const void* graph, size_t graph_size, const void* weights, size_t weights_size,
                                   const fer_fast_finder_options* options, fer_fast_finder** finder) {
  return open([&] { return ModelBytes{graph, graph_size, weights, weights_size}; }, options, finder);
}

void fer_fast_finder_close(fer_fast_finder* finder) { delete finder; }

const char* fer_fast_finder_describe(const fer_fast_finder* finder) {
  return finder == nullptr ? nullptr : finder->description.c_str();
}

int32_t fer_fast_find(const fer_fast_finder* finder, const fer_fast_image* photo, fer_fast_face* faces, size_t capacity,
                      size_t* count) {
  return coded([&] {
    require(count != nullptr, "count must not be null");
    *count = 0;
    require(finder != nullptr, "finder must not be null");
    require(photo != nullptr, "photo must not be null");
    require(faces != nullptr || capacity == 0, "faces must not be null unless capacity is 0");
    const std::vector<Face> found = finder->finder.find(view_of(photo, "photo"));
    const size_t written = std::min(capacity, found.size());
    for (size_t i = 0; i < written; ++i) faces[i] = face_of(found[i]);
    *count = found.size();
  });
}

int32_t fer_fast_classify_faces(const fer_fast_classifier* classifier, const fer_fast_finder* finder,
                                const fer_fast_image* photo, fer_fast_face* faces, float* probabilities,
                                size_t capacity, size_t* count) {
  return coded([&] {
    require(count != nullptr, "count must not be null");
    *count = 0;
    require(classifier != nullptr, "classifier must not be null");
    require(finder != nullptr, "finder must not be null");
    require(photo != nullptr, "photo must not be null");
    require(capacity == 0 || (faces != nullptr && probabilities != nullptr),
            "faces and probabilities must not be null unless capacity is 0");
    const std::vector<FacePrediction> found = classifier->classifier.classify_faces(finder->finder, view_of(photo, "photo"));
    const size_t written = std::min(capacity, found.size());
    for (size_t i = 0; i < written; ++i) {
      faces[i] = face_of(found[i].face);
      const std::vector<float>& row = found[i].prediction.probabilities;
      std::copy(row.begin(), row.end(), probabilities + i * row.size());
    }
    *count = found.size();
  });
}
