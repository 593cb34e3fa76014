#include "fer_fast/classifier.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <mutex>
#include <new>
#include <sstream>
#include <thread>

#include "engine.h"
#include "fer_fast/tokens.h"
#include "resize.h"

namespace fer_fast {

int64_t batch_size_of(const Options& options, const Description& description) {
  const auto most = static_cast<std::size_t>(description.batch_size);
  if (options.batch_size > most) {
    throw Error(ErrorCode::kInvalidArgument, "batch_size must be at most the " + std::to_string(most) +
                                                 " that the model was exported for, not " +
                                                 std::to_string(options.batch_size));
  }
  return static_cast<int64_t>(options.batch_size == 0 ? most : options.batch_size);
}

int card_of(const std::string& device) {
  if (device == "auto" || device == "cuda") return 0;
  constexpr int kMostCards = 64;
  for (int card = 0; card < kMostCards; ++card) {
    if (device == "cuda:" + std::to_string(card)) return card;
  }
  return -1;
}

std::string one_line(const std::string& text) {
  std::istringstream lines(text);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) found += (found.empty() ? "" : "; ") + line;
  }
  return found;
}

void check_precision_is_auto(const Options& options, const std::string& suffix) {
  if (options.precision == Precision::kAuto) return;
  throw Error(ErrorCode::kInvalidArgument, "precision must be automatic for " + suffix + " models: the export fixed it");
}

namespace {

// Made while there is memory for its text; a copy shares it.
const Error no_memory(ErrorCode::kOutOfMemory, "out of memory");

// Every exception becomes an Error.
template <typename Do>
auto guarded(Do&& doing) {
  try {
    return doing();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw no_memory;
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kEngineFailed, one_line(error.what()));
  } catch (...) {
    throw Error(ErrorCode::kEngineFailed, "an exception of no known kind");
  }
}

Options checked(Options options) {
  if (options.threads < 0) {
    throw Error(ErrorCode::kInvalidArgument, "threads must be 0 or more, not " + std::to_string(options.threads));
  }
  if (options.precision < Precision::kAuto || options.precision > Precision::kBf16) {
    throw Error(ErrorCode::kInvalidArgument, "precision must be 0, 1 or 2 (a Precision), not " +
                                                 std::to_string(static_cast<int32_t>(options.precision)));
  }
  if (options.goal < Goal::kThroughput || options.goal > Goal::kLatency) {
    throw Error(ErrorCode::kInvalidArgument, "goal must be 0 or 1 (a Goal), not " +
                                                 std::to_string(static_cast<int32_t>(options.goal)));
  }
  const int processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  options.threads = options.threads == 0 ? processors : std::min(options.threads, processors);
  return options;
}

OpenedModel open_model(const std::string& model, const Options& options) {
  const std::string suffix = std::filesystem::path(model).extension().string();
  if (suffix == ".xml") return open_openvino(model, options);
  if (suffix == ".pt2") return open_torch(model, options);
  if (suffix == ".engine") return open_tensorrt(model, options);
  throw Error(ErrorCode::kModelUnsupported,
              "a model must be an .xml, a .pt2 or an .engine that fer-fast export wrote, not '" + model + "'");
}

}  // namespace

struct Classifier::Parts {
  OpenedModel model;

  int64_t classes() const { return static_cast<int64_t>(model.description.classes.size()); }

  // Resizes and infers some images, one batch.
  void run(const ImageView* images, int64_t count, float* probabilities) const {
    const int64_t side = model.description.image_size, bytes = side * side * 3;
    std::vector<uint8_t> pixels(static_cast<std::size_t>(count * bytes));
    for (int64_t i = 0; i < count; ++i) resize_to_square(images[i], side, &pixels[static_cast<std::size_t>(i * bytes)]);
    model.engine->infer(pixels.data(), count, probabilities);
  }
};

namespace {

// A call's batches, which threads share; the first exception of any of them is the call's.
template <typename Parts>
struct Work {
  const Parts& parts;
  const ImageView* images;
  int64_t count, batch;
  float* probabilities;
  std::mutex mutex;
  std::exception_ptr failure;

  static void batches(int64_t begin, int64_t end, void* context) {
    Work& work = *static_cast<Work*>(context);
    try {
      for (int64_t first = begin * work.batch; first < std::min(end * work.batch, work.count); first += work.batch) {
        const int64_t taken = std::min(work.batch, work.count - first);
        work.parts.run(work.images + first, taken, work.probabilities + first * work.parts.classes());
      }
    } catch (...) {
      const std::lock_guard lock(work.mutex);
      if (!work.failure) work.failure = std::current_exception();
    }
  }
};

}  // namespace

Classifier::Classifier(const std::string& model, const Options& options) {
  guarded([&] {
    parts_ = std::make_unique<Parts>(Parts{open_model(model, checked(options))});
  });
}

Classifier::~Classifier() = default;
Classifier::Classifier(Classifier&&) noexcept = default;
Classifier& Classifier::operator=(Classifier&&) noexcept = default;

const Classifier::Parts& Classifier::parts() const {
  if (!parts_) throw Error(ErrorCode::kInvalidArgument, "this classifier was moved from");
  return *parts_;
}

void Classifier::classify(const ImageView* images, std::size_t count, float* probabilities) const {
  guarded([&] {
    const Parts& parts = this->parts();
    if (count == 0) return;
    if (images == nullptr) throw Error(ErrorCode::kInvalidArgument, "images must not be null");
    if (probabilities == nullptr) throw Error(ErrorCode::kInvalidArgument, "probabilities must not be null");
    for (std::size_t i = 0; i < count; ++i) check_image(images[i], i);
    // Few images are shared out evenly: every stream gets some.
    const auto images_count = static_cast<int64_t>(count), streams = static_cast<int64_t>(parts.model.engine->streams());
    const int64_t batch = std::clamp<int64_t>((images_count + streams - 1) / streams, 1, parts.model.batch_size);
    Work<Parts> work{parts, images, images_count, batch, probabilities, {}, {}};
    // One thread more than streams: it resizes while they infer.
    spawn_threads((images_count + batch - 1) / batch, 1, static_cast<int>(streams) + 1, Work<Parts>::batches, &work);
    if (work.failure) std::rethrow_exception(work.failure);
  });
}

std::vector<Prediction> Classifier::classify(const std::vector<ImageView>& images) const {
  return guarded([&] {
    const std::vector<std::string>& names = classes();
    std::vector<float> probabilities(images.size() * names.size());
    classify(images.data(), images.size(), probabilities.data());
    std::vector<Prediction> predictions(images.size());
    auto row = probabilities.cbegin();
    for (Prediction& prediction : predictions) {
      const auto end = row + static_cast<std::ptrdiff_t>(names.size());
      const auto most = std::max_element(row, end);
      prediction.probabilities.assign(row, end);
      prediction.index = static_cast<std::size_t>(most - row);
      prediction.label = names[prediction.index];
      prediction.confidence = *most;
      row = end;
    }
    return predictions;
  });
}

Prediction Classifier::classify(const ImageView& image) const {
  return guarded([&] { return classify(std::vector<ImageView>{image})[0]; });
}

const std::vector<std::string>& Classifier::classes() const { return parts().model.description.classes; }

int64_t Classifier::image_size() const { return parts().model.description.image_size; }

std::string Classifier::describe() const {
  return guarded([&] {
    const Parts& parts = this->parts();
    const Description& model = parts.model.description;
    return parts.model.engine->describe() + "image_size=" + std::to_string(model.image_size) + "\nbatch_size=" +
           std::to_string(parts.model.batch_size) + "\nmodel=" + model.model + "\nexported_by=fer-fast " + model.version + "\n";
  });
}

}  // namespace fer_fast
