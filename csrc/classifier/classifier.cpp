#include "fer_fast/classifier.h"

#include <algorithm>

#include "crew.h"
#include "engine.h"
#include "meter.h"
#include "photo.h"
#include "prior.h"
#include "resize.h"
#include "yuv.h"

namespace fer_fast {

struct Classifier::Parts {
  OpenedModel model;
  Prior prior;
  OnCall on_call;
  Owned<Crew> crew;

  template <typename Model>
  static std::unique_ptr<Parts> open(const Model& model, const Options& options, const std::string& prior) {
    std::unique_ptr<Parts> parts;
    metered(options.on_call, "open", 0, [&](Meter&) {
      OpenedModel opened = open_model(model, Kind::kClassifier, checked(options));
      Prior found = prior_for(prior, opened.description);
      auto crew = std::make_unique<Crew>(opened.engine->streams());
      parts = std::make_unique<Parts>(Parts{std::move(opened), std::move(found), options.on_call, std::move(crew)});
      return std::size_t{0};
    });
    return parts;
  }

  int64_t side() const { return model.description.image_size; }
  int64_t classes() const { return static_cast<int64_t>(model.description.classes.size()); }

  // Probabilities of `count` images, [count][classes]: fill(first, taken, pixels, space) gives those of some, squares of
  // RGB bytes.
  template <typename Fill>
  void run(int64_t count, float* probabilities, Meter& meter, const Fill& fill) const {
    // Few images are shared out evenly: every stream gets some.
    const int64_t streams = model.engine->streams(), bytes = side() * side() * 3;
    const int64_t batch = std::clamp<int64_t>((count + streams - 1) / streams, 1, model.batch_size);
    // One thread more than streams, the caller's: it makes pixels while they infer.
    crew->run((count + batch - 1) / batch, [&](int64_t piece, Workspace& space) {
      const int64_t first = piece * batch, taken = std::min(batch, count - first);
      uint8_t* const pixels = batch_in(space, *model.engine, taken * bytes);
      meter.preprocess([&] { fill(first, taken, pixels, space); });
      float* const rows = probabilities + first * classes();
      meter.infer([&] { model.engine->infer({pixels, taken, side(), side()}, rows); });
      prior.apply(rows, taken);
    });
  }

  // The same of what is cut from frames, on any of the threads.
  void run(const std::vector<Cut>& cuts, float* probabilities, Meter& meter) const {
    const auto fill = [&](int64_t first, int64_t taken, uint8_t* pixels, Workspace& space) {
      cut_faces(&cuts[static_cast<std::size_t>(first)], taken, side(), pixels, space);
    };
    run(static_cast<int64_t>(cuts.size()), probabilities, meter, fill);
  }

  void check_side_can_be_cut() const {
    if (side() <= kMaxCropSide) return;
    throw Error(ErrorCode::kInvalidArgument, "the model's image_size must be at most " + std::to_string(kMaxCropSide) +
                                                 " for faces in photos, not " + std::to_string(side()));
  }

  void check_enqueued(const DeviceImages& images) const {
    const auto require_room = [&](const char* name, std::size_t there, std::size_t each, const char* unit) {
      if (there / each >= images.count) return;
      throw Error(ErrorCode::kInvalidArgument, std::string(name) + " must be at least count x " + unit + ", " +
                                                   std::to_string(images.count) + " x " + std::to_string(each) + ", not " +
                                                   std::to_string(there));
    };
    if (images.pixels == nullptr) throw Error(ErrorCode::kInvalidArgument, "pixels must not be null");
    if (images.probabilities == nullptr) throw Error(ErrorCode::kInvalidArgument, "probabilities must not be null");
    require_room("size", images.size, static_cast<std::size_t>(side() * side() * 3), "an image's bytes");
    require_room("capacity", images.capacity, static_cast<std::size_t>(classes()), "classes");
    if (prior.ratios.empty()) return;
    throw Error(ErrorCode::kInvalidArgument,
                "prior must be train for images on a card, where nothing is multiplied, not " + prior.text);
  }

  std::vector<Prediction> predictions(const std::vector<float>& probabilities) const {
    std::vector<Prediction> found;
    for (std::size_t i = 0; i < probabilities.size(); i += model.description.classes.size()) {
      found.push_back(prediction(&probabilities[i]));
    }
    return found;
  }

  Prediction prediction(const float* probabilities) const {
    const std::vector<std::string>& names = model.description.classes;
    Prediction found;
    found.probabilities.assign(probabilities, probabilities + names.size());
    const auto most = std::max_element(found.probabilities.begin(), found.probabilities.end());
    found.index = static_cast<std::size_t>(most - found.probabilities.begin());
    found.label = names[found.index];
    found.confidence = *most;
    return found;
  }
};

Classifier::Classifier(const std::string& model, const Options& options) : Classifier(model, options, "train") {}

Classifier::Classifier(const std::string& model, const Options& options, const std::string& prior)
    : parts_(Parts::open(model, options, prior)) {}

Classifier::Classifier(const ModelBytes& model, const Options& options, const std::string& prior)
    : parts_(Parts::open(model, options, prior)) {}

Classifier::~Classifier() = default;
Classifier::Classifier(Classifier&&) noexcept = default;
Classifier& Classifier::operator=(Classifier&&) noexcept = default;

const Classifier::Parts& Classifier::parts() const {
  if (!parts_) throw Error(ErrorCode::kInvalidArgument, "this classifier was moved from");
  return *parts_;
}

void Classifier::classify(const ImageView* images, std::size_t count, float* probabilities) const {
  const Parts& parts = this->parts();
  metered(parts.on_call, "classify", count, [&](Meter& meter) {
    if (count == 0) return count;
    if (images == nullptr) throw Error(ErrorCode::kInvalidArgument, "images must not be null");
    if (probabilities == nullptr) throw Error(ErrorCode::kInvalidArgument, "probabilities must not be null");
    check_count(count);
    for (std::size_t i = 0; i < count; ++i) check_image(images[i], i);
    const int64_t side = parts.side();
    const auto fill = [&](int64_t first, int64_t taken, uint8_t* pixels, Workspace& space) {
      for (int64_t i = 0; i < taken; ++i, pixels += side * side * 3)
        resize_to(RgbView(images[first + i], space).view(), side, side, pixels, side * 3, space);
    };
    parts.run(static_cast<int64_t>(count), probabilities, meter, fill);
    return count;
  });
}

std::vector<Prediction> Classifier::classify(const std::vector<ImageView>& images) const {
  return guarded([&] {
    std::vector<float> probabilities(images.size() * classes().size());
    classify(images.data(), images.size(), probabilities.data());
    return parts().predictions(probabilities);
  });
}

Prediction Classifier::classify(const ImageView& image) const {
  return guarded([&] { return classify(std::vector<ImageView>{image})[0]; });
}

void Classifier::classify(const ImageView& frame, const Box* boxes, std::size_t count, float* probabilities) const {
  const Parts& parts = this->parts();
  metered(parts.on_call, "classify", 1, [&](Meter& meter) {
    parts.check_side_can_be_cut();
    if (count == 0) return count;
    if (boxes == nullptr) throw Error(ErrorCode::kInvalidArgument, "boxes must not be null");
    if (probabilities == nullptr) throw Error(ErrorCode::kInvalidArgument, "probabilities must not be null");
    check_count(count);
    check_image(frame, 0);
    std::vector<Cut> cuts(count);
    for (std::size_t i = 0; i < count; ++i) cuts[i] = cut_of(frame, boxes[i], i, parts.side());
    parts.run(cuts, probabilities, meter);
    return count;
  });
}

std::vector<Prediction> Classifier::classify(const ImageView& frame, const std::vector<Box>& boxes) const {
  return guarded([&] {
    std::vector<float> probabilities(boxes.size() * classes().size());
    classify(frame, boxes.data(), boxes.size(), probabilities.data());
    return parts().predictions(probabilities);
  });
}

void Classifier::enqueue(const DeviceImages& images) const {
  const Parts& parts = this->parts();
  metered(parts.on_call, "enqueue", images.count, [&](Meter& meter) {
    if (images.count == 0) return images.count;
    parts.check_enqueued(images);
    const int64_t side = parts.side(), count = static_cast<int64_t>(images.count), batch = parts.model.batch_size;
    for (int64_t first = 0; first < count; first += batch) {
      const Batch part{images.pixels + first * side * side * 3, std::min(batch, count - first), side, side};
      float* const rows = images.probabilities + first * parts.classes();
      meter.infer([&] { parts.model.engine->enqueue(part, rows, images.stream); });
    }
    return images.count;
  });
}

std::vector<std::vector<FacePrediction>> Classifier::classify_faces(const FaceFinder& finder,
                                                                    const std::vector<ImageView>& photos) const {
  const Parts& parts = this->parts();
  std::vector<std::vector<FacePrediction>> predictions;
  metered(parts.on_call, "classify_faces", photos.size(), [&](Meter& meter) {
    parts.check_side_can_be_cut();
    const std::vector<std::vector<Face>> found = finder.find(photos);
    std::vector<Cut> cuts;
    for (std::size_t i = 0; i < photos.size(); ++i) {
      for (const Face& face : found[i]) {
        cuts.push_back(cut_of(photos[i], face, parts.model.description.framing, parts.side(), finder.find_size()));
      }
    }
    std::vector<float> probabilities(cuts.size() * classes().size());
    parts.run(cuts, probabilities.data(), meter);
    predictions.resize(photos.size());
    const float* row = probabilities.data();
    for (std::size_t i = 0; i < photos.size(); ++i) {
      for (const Face& face : found[i]) {
        predictions[i].push_back({face, parts.prediction(row)});
        row += parts.classes();
      }
    }
    return cuts.size();
  });
  return predictions;
}

std::vector<FacePrediction> Classifier::classify_faces(const FaceFinder& finder, const ImageView& photo) const {
  return guarded([&] { return classify_faces(finder, std::vector<ImageView>{photo})[0]; });
}

const std::vector<std::string>& Classifier::classes() const { return parts().model.description.classes; }

int64_t Classifier::image_size() const { return parts().model.description.image_size; }

std::string Classifier::describe() const {
  return guarded([&] {
    const Parts& parts = this->parts();
    const Description& model = parts.model.description;
    return parts.model.engine->describe() + "image_size=" + std::to_string(model.image_size) +
           "\nbatch_size=" + std::to_string(parts.model.batch_size) + "\nframing=" + framing_name(model.framing) +
           "\nprior=" + parts.prior.text + "\nmodel=" + model.model + "\nexported_by=fer-fast " + model.version + "\n";
  });
}

}  // namespace fer_fast
