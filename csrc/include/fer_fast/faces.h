// Photos in memory come in, the faces in them go out: `fer-fast export finder` writes the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fer_fast/image.h"

namespace fer_fast {

struct Point {
  float x, y;
};

// A face, in pixels of the photo; parts of it may lie outside. The first pixel's centre is at 0.5, 0.5.
struct Face {
  float x, y, width, height;  // of its box, x and y of the left upper corner
  Point landmarks[5];         // two eyes, the tip of the nose, two corners of the mouth; of two the left in the image first
  float score;                // the finder's, 0 to 1
};

struct FinderOptions {
  int64_t find_size = 640;    // a photo's longer side is reduced to it for the look; one of less than 128 becomes 128
  double score = 0.6;         // faces of a smaller one are left out
  double min_face = 24;       // so are those whose box has a smaller longer side, in pixels of the photo
  std::size_t max_faces = 0;  // of more than so many the largest stay; 0 is no limit
  int threads = 0;            // these and what follows as in Options
  Precision precision = Precision::kAuto;
  Goal goal = Goal::kThroughput;
  std::string device = "auto";
  Pinning pinning = Pinning::kAuto;
  OnCall on_call;
};

// A face finder, ready to run. One may be used from many threads at once.
class FER_FAST_API FaceFinder {
 public:
  // Opens what `fer-fast export finder` wrote, as Classifier does. Throws Error.
  explicit FaceFinder(const std::string& model, const FinderOptions& options = {});
  explicit FaceFinder(const ModelBytes& model, const FinderOptions& options = {});
  ~FaceFinder();
  FaceFinder(FaceFinder&&) noexcept;
  FaceFinder& operator=(FaceFinder&&) noexcept;

  // Of each photo its faces by falling area. Photos of any size are reduced as Pillow 13 does, to the last bit. Throws
  // Error.
  std::vector<std::vector<Face>> find(const std::vector<ImageView>& photos) const;
  std::vector<Face> find(const ImageView& photo) const;

  int64_t find_size() const;
  // What runs: name=value lines of engine, version, device, precision, streams, of an .xml threads and pinning, find_size,
  // score, min_face, max_faces, model, exported_by.
  std::string describe() const;

 private:
  struct Parts;
  const Parts& parts() const;
  std::unique_ptr<Parts> parts_;
};

}  // namespace fer_fast
