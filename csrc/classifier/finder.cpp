#include <algorithm>
#include <cmath>
#include <sstream>

#include "cells.h"
#include "crew.h"
#include "engine.h"
#include "fer_fast/faces.h"
#include "meter.h"
#include "photo.h"
#include "resize.h"

namespace fer_fast {
namespace {

// A photo that is reduced to less would have no face in it; and a mean of blocks is of no more bytes than a sum can
// have.
constexpr int64_t kLeastFindSize = 32;

// Where nothing is found, the longer side of a second look: of a face that fills a large photo the network sees parts.
constexpr int64_t kSecondLook = 160;

template <typename Number>
void require(bool holds, const std::string& name, const std::string& rule, Number value) {
  if (holds) return;
  std::ostringstream text;
  text << name << " must be " << rule << ", not " << value;
  throw Error(ErrorCode::kInvalidArgument, text.str());
}

// What every model is opened with, from what a finder is.
Options engine_options(const FinderOptions& options) {
  const std::string least = std::to_string(kLeastFindSize) + " or more";
  require(options.find_size >= kLeastFindSize, "find_size", least, options.find_size);
  require(options.score >= 0 && options.score <= 1, "score", "0 to 1", options.score);
  require(options.min_face >= 0 && std::isfinite(options.min_face), "min_face", "a number of pixels, 0 or more",
          options.min_face);
  Options general;
  general.batch_size = 1;
  general.threads = options.threads;
  general.precision = options.precision;
  general.goal = options.goal;
  general.device = options.device;
  general.pinning = options.pinning;
  return checked(general);
}

// Of a cell that is no number there would be no face, and of a photo full of them no word.
void check_scores(const std::vector<float>& cells) {
  for (std::size_t i = 0; i < cells.size(); i += kFaceColumns) {
    if (std::isfinite(cells[i])) continue;
    throw Error(ErrorCode::kEngineFailed, "the finder gave a value that is not a number; another precision may help");
  }
}

// A row of kFaceColumns, found in a photo that was reduced, in pixels of the photo.
Face face_of(const float* row, double x_factor, double y_factor) {
  const auto x = [&](int column) { return static_cast<float>(row[column] * x_factor); };
  const auto y = [&](int column) { return static_cast<float>(row[column] * y_factor); };
  Face face{x(0), y(1), x(2), y(3), {}, row[kFaceColumns - 1]};
  for (int i = 0; i < 5; ++i) face.landmarks[i] = {x(4 + 2 * i), y(5 + 2 * i)};
  return face;
}

}  // namespace

struct FaceFinder::Parts {
  OpenedModel model;
  FinderOptions options;
  Owned<Crew> crew;

  template <typename Model>
  static std::unique_ptr<Parts> open(const Model& model, const FinderOptions& options) {
    std::unique_ptr<Parts> parts;
    metered(options.on_call, "open", 0, [&](Meter&) {
      OpenedModel opened = open_model(model, Kind::kFinder, engine_options(options));
      const int64_t most = opened.description.most_side;
      require(options.find_size <= most, "find_size",
              "at most the " + std::to_string(most) + " that the model was exported for", options.find_size);
      auto crew = std::make_unique<Crew>(opened.engine->streams());
      parts = std::make_unique<Parts>(Parts{std::move(opened), options, std::move(crew)});
      return std::size_t{0};
    });
    return parts;
  }

  // The faces in what is seen of a photo, rows of kFaceColumns, in its pixels.
  std::vector<float> look(const uint8_t* pixels, const Seen& seen, Meter& meter, Workspace& space) const {
    std::vector<float>& cells = space.cells;
    cells.resize(static_cast<std::size_t>(model.description.outputs(seen.canvas_height, seen.canvas_width)));
    meter.infer([&] { model.engine->infer({pixels, 1, seen.canvas_height, seen.canvas_width}, cells.data()); });
    check_scores(cells);
    return faces_in(cells.data(), seen.canvas_height, seen.canvas_width, options.score, kFaceOverlap);
  }

  // The same of `pixels` reduced to kSecondLook, which are written over.
  std::vector<float> look_again(uint8_t* pixels, const Seen& seen, Meter& meter, Workspace& space) const {
    ImageView first;
    first.data = pixels;
    first.size = static_cast<std::size_t>(seen.bytes());
    first.width = seen.width;
    first.height = seen.height;
    first.stride = seen.canvas_width * 3;
    first.format = PixelFormat::kRgb8;
    const Seen again = seen_of(first, kSecondLook, model.description.least_side);
    meter.preprocess([&] {
      space.second_look.resize(static_cast<std::size_t>(again.bytes()));
      see(first, again, space.second_look.data(), space);
      std::copy(space.second_look.begin(), space.second_look.end(), pixels);
    });
    std::vector<float> rows = look(pixels, again, meter, space);
    const double x_factor = static_cast<double>(seen.width) / static_cast<double>(again.width);
    const double y_factor = static_cast<double>(seen.height) / static_cast<double>(again.height);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t column = i % kFaceColumns;
      if (column + 1 < kFaceColumns) rows[i] = static_cast<float>(rows[i] * (column % 2 == 0 ? x_factor : y_factor));
    }
    return rows;
  }

  std::vector<Face> find(const ImageView& photo, Meter& meter, Workspace& space) const {
    const Seen seen = seen_of(photo, options.find_size, model.description.least_side);
    uint8_t* const pixels = batch_in(space, *model.engine, seen.bytes());
    meter.preprocess([&] { see(photo, seen, pixels, space); });
    std::vector<float> rows = look(pixels, seen, meter, space);
    if (rows.empty() && std::max(seen.width, seen.height) > kSecondLook) rows = look_again(pixels, seen, meter, space);
    const double x_factor = static_cast<double>(photo.width) / static_cast<double>(seen.width);
    const double y_factor = static_cast<double>(photo.height) / static_cast<double>(seen.height);
    std::vector<Face> faces;
    for (std::size_t i = 0; i < rows.size(); i += kFaceColumns) {
      const Face face = face_of(&rows[i], x_factor, y_factor);
      if (std::max(face.width, face.height) >= options.min_face) faces.push_back(face);
    }
    std::stable_sort(faces.begin(), faces.end(), [](const Face& one, const Face& other) {
      return double{one.width} * one.height > double{other.width} * other.height;
    });
    if (options.max_faces != 0 && faces.size() > options.max_faces) faces.resize(options.max_faces);
    return faces;
  }
};

FaceFinder::FaceFinder(const std::string& model, const FinderOptions& options) : parts_(Parts::open(model, options)) {}
FaceFinder::FaceFinder(const ModelBytes& model, const FinderOptions& options) : parts_(Parts::open(model, options)) {}

FaceFinder::~FaceFinder() = default;
FaceFinder::FaceFinder(FaceFinder&&) noexcept = default;
FaceFinder& FaceFinder::operator=(FaceFinder&&) noexcept = default;

const FaceFinder::Parts& FaceFinder::parts() const {
  if (!parts_) throw Error(ErrorCode::kInvalidArgument, "this face finder was moved from");
  return *parts_;
}

std::vector<std::vector<Face>> FaceFinder::find(const std::vector<ImageView>& photos) const {
  const Parts& parts = this->parts();
  std::vector<std::vector<Face>> found;
  metered(parts.options.on_call, "find", photos.size(), [&](Meter& meter) {
    for (std::size_t i = 0; i < photos.size(); ++i) check_image(photos[i], i);
    found.resize(photos.size());
    // One thread more than streams, the caller's: it reduces a photo while they infer.
    parts.crew->run(static_cast<int64_t>(photos.size()), [&](int64_t photo, Workspace& space) {
      found[static_cast<std::size_t>(photo)] = parts.find(photos[static_cast<std::size_t>(photo)], meter, space);
    });
    std::size_t faces = 0;
    for (const std::vector<Face>& of_one : found) faces += of_one.size();
    return faces;
  });
  return found;
}

std::vector<Face> FaceFinder::find(const ImageView& photo) const {
  return guarded([&] { return find(std::vector<ImageView>{photo})[0]; });
}

int64_t FaceFinder::find_size() const { return parts().options.find_size; }

std::string FaceFinder::describe() const {
  return guarded([&] {
    const Parts& parts = this->parts();
    std::ostringstream text;
    text << parts.model.engine->describe() << "find_size=" << parts.options.find_size
         << "\nscore=" << parts.options.score << "\nmin_face=" << parts.options.min_face
         << "\nmax_faces=" << parts.options.max_faces << "\nmodel=" << parts.model.description.model
         << "\nexported_by=fer-fast " << parts.model.description.version << "\n";
    return text.str();
  });
}

}  // namespace fer_fast
