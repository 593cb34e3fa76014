#include "engine.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "guarded.h"
#include "processors.h"

namespace fer_fast {

const Error no_memory(ErrorCode::kOutOfMemory, "out of memory");

Buffer Engine::buffer(std::size_t bytes) const {
  return {new uint8_t[bytes], [](uint8_t* memory) { delete[] memory; }};
}

void Engine::enqueue(const Batch&, float*, void*) {
  throw Error(ErrorCode::kDeviceMissing, "images on a card are for an .engine alone, which runs there: this model is none");
}

uint8_t* batch_in(Workspace& space, const Engine& engine, int64_t bytes) {
  const auto needed = static_cast<std::size_t>(bytes);
  if (space.batch_bytes < needed) {
    space.batch_bytes = 0;
    space.batch.reset();  // before the other is taken
    space.batch = engine.buffer(needed);
    space.batch_bytes = needed;
  }
  return space.batch.get();
}

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

std::string lower_case(std::string text) {
  for (char& letter : text) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return text;
}

std::string one_line(const std::string& text) {
  std::istringstream lines(text);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) found += (found.empty() ? "" : "; ") + line;
  }
  return found;
}

void check_is_automatic(const Options& options, const std::string& suffix) {
  if (options.pinning != Pinning::kAuto) {
    throw Error(ErrorCode::kInvalidArgument, "pinning must be automatic for " + suffix + " models: their engine has none");
  }
  if (options.precision == Precision::kAuto) return;
  throw Error(ErrorCode::kInvalidArgument, "precision must be automatic for " + suffix + " models: the export fixed it");
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
  if (options.pinning < Pinning::kAuto || options.pinning > Pinning::kOn) {
    throw Error(ErrorCode::kInvalidArgument, "pinning must be 0, 1 or 2 (a Pinning), not " +
                                                 std::to_string(static_cast<int32_t>(options.pinning)));
  }
  options.threads = options.threads == 0 ? usable_processors() : std::min(options.threads, allowed_processors());
  const std::string device = lower_case(options.device);
  if (device == "cpu" || card_of(device) >= 0) options.device = device;  // another stays as it came, for the message
  return options;
}

void check_kind(Kind wanted, const Description& description, const std::string& model) {
  if (description.kind == wanted) return;
  throw Error(ErrorCode::kModelUnsupported,
              "the model '" + model + "' is a " +
                  (wanted == Kind::kFinder ? "classifier: open it as a Classifier" : "face finder: open it as a FaceFinder"));
}

OpenedModel open_model(const std::string& model, Kind kind, const Options& options) {
  const std::string suffix = lower_case(std::filesystem::path(model).extension().string());
  if (suffix == ".xml") return open_openvino(model, kind, options);
  if (suffix == ".pt2") return open_torch(model, kind, options);
  if (suffix == ".engine") return open_tensorrt(model, kind, options);
  throw Error(ErrorCode::kModelUnsupported,
              "a model must be an .xml, a .pt2 or an .engine that fer-fast export wrote, not '" + model + "'");
}

}  // namespace fer_fast
