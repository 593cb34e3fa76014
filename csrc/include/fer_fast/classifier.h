// Faces in memory come in, probabilities of facial expressions go out: `fer-fast export` writes the model, C++17 runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fer_fast/faces.h"
#include "fer_fast/image.h"

namespace fer_fast {

struct Options {
  std::size_t batch_size = 0;  // images that the model takes at once; 0 is the most that it was exported for
  // That compute; 0 is one a processor, in a container with a quota as many as that grants. More than one a processor are
  // not started.
  int threads = 0;
  Precision precision = Precision::kAuto;
  Goal goal = Goal::kThroughput;
  std::string device = "auto";  // auto, cpu, or, with an .engine or a .pt2 for a GPU, cuda or cuda:N
  Pinning pinning = Pinning::kAuto;  // of an .xml alone
  OnCall on_call;                    // is told of the opening and of each call; none costs nothing
};

struct Prediction {
  std::vector<float> probabilities;  // of Classifier::classes(), sum 1
  std::size_t index = 0;             // of the most probable class
  std::string label;                 // its name
  float confidence = 0;              // its probability
};

struct FacePrediction {
  Face face;
  Prediction prediction;
};

// A model, ready to run. One may be used from many threads at once; each call waits until all its images are done.
class FER_FAST_API Classifier {
 public:
  // Opens MODEL.xml (with MODEL.bin beside it; OpenVINO, which compiles it for this CPU: up to seconds),
  // MODEL.engine (with MODEL.engine.txt; TensorRT, on a GPU) or MODEL.pt2 (libtorch, on either). Throws Error.
  explicit Classifier(const std::string& model, const Options& options = {});
  // The same for a mix of classes that the probabilities are to presume, as `fer_fast.Classifier(prior=...)` in Python:
  // train, that of the training; balanced, every class as common as the others; shares or counts by class,
  // anger=0.2,fear=0.8; or the path of a file of them. Of a model that does not say its training's mix train alone.
  Classifier(const std::string& model, const Options& options, const std::string& prior);
  // The same of an .xml in memory.
  explicit Classifier(const ModelBytes& model, const Options& options = {}, const std::string& prior = "train");
  ~Classifier();
  Classifier(Classifier&&) noexcept;
  Classifier& operator=(Classifier&&) noexcept;

  // One prediction an image, in order. Images of any size are squashed to the model's square by an antialiased bilinear
  // resize, bit for bit Pillow 13's, which `fer_fast.Classifier` uses in Python. Throws Error.
  std::vector<Prediction> classify(const std::vector<ImageView>& images) const;
  Prediction classify(const ImageView& image) const;

  // The same without a Prediction an image: probabilities, [count][classes().size()], go where the caller says. After an
  // Error what stands there means nothing.
  void classify(const ImageView* images, std::size_t count, float* probabilities) const;

  // Faces in a frame, of which nothing else is read or copied: each box becomes the square on its longer side about its
  // centre, what lies outside of the frame the pixel at its edge, as classify_faces cuts by boxes. Throws Error.
  std::vector<Prediction> classify(const ImageView& frame, const std::vector<Box>& boxes) const;
  void classify(const ImageView& frame, const Box* boxes, std::size_t count, float* probabilities) const;

  // Images on the card that an .engine runs on, whose probabilities stay there, those of the prior train: behind what the
  // stream was given before, and before what it is given next. Returns before the card is done; what goes wrong there later the
  // stream says. To destroy the classifier waits for all of it. Throws Error, of a model that runs on no card, too.
  void enqueue(const DeviceImages& images) const;

  // The faces that the finder finds in a photo, by falling area, with their predictions: each is cropped from the photo's
  // own pixels as the model was trained, as `fer_fast.Classifier.predict_faces` does in Python. Many photos are faster:
  // their faces share batches. Throws Error.
  std::vector<FacePrediction> classify_faces(const FaceFinder& finder, const ImageView& photo) const;
  std::vector<std::vector<FacePrediction>> classify_faces(const FaceFinder& finder, const std::vector<ImageView>& photos) const;

  const std::vector<std::string>& classes() const;
  int64_t image_size() const;  // side in pixels of what the model sees
  // What runs: name=value lines of engine, version, device, precision, streams, of an .xml threads and pinning, of an .engine
  // graphs (the batch sizes of which it has one), image_size, batch_size, framing, prior, model, exported_by.
  std::string describe() const;

 private:
  struct Parts;
  const Parts& parts() const;
  std::unique_ptr<Parts> parts_;
};

}  // namespace fer_fast
