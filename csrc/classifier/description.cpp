#include "description.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <tuple>

#include "cells.h"
#include "fer_fast/image.h"
#include "numbers.h"

namespace fer_fast {
namespace {

// What fer_fast/export/graph.py calls FORMAT.
constexpr int64_t kFormat = 1;
// Beyond what can be exported; what is allocated is checked against them.
constexpr int64_t kMostBatch = int64_t{1} << 32;
constexpr std::size_t kMostClasses = 1 << 20;
constexpr std::string_view kOpening = "<?fer_fast\n", kClosing = "?>\n";

// Facts that occur once, and the classes.
struct Facts {
  std::string_view text;

  std::vector<std::string_view> all(std::string_view name) const {
    std::vector<std::string_view> found;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      const std::string_view line = text.substr(begin, end - begin);
      if (line.size() > name.size() && line.substr(0, name.size()) == name && line[name.size()] == ' ') {
        found.push_back(line.substr(name.size() + 1));
      }
      begin = end + 1;
    }
    return found;
  }

  std::optional<std::string_view> one(std::string_view name) const {
    const auto found = all(name);
    return found.size() == 1 ? std::optional(found[0]) : std::nullopt;
  }
};

template <typename Number>
std::optional<Number> number_of(std::optional<std::string_view> text, int base = 10) {
  Number number{};
  if (!text) return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number, base);
  return error == std::errc() && end == text->data() + text->size() ? std::optional(number) : std::nullopt;
}

uint32_t crc32(std::string_view bytes) {
  // Eight bytes a step: a model has tens of MB.
  static const auto kTables = [] {
    std::array<std::array<uint32_t, 256>, 8> tables{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) * 0xEDB88320u);
      tables[0][i] = value;
    }
    for (uint32_t i = 0; i < 256; ++i) {
      for (std::size_t k = 1; k < 8; ++k) tables[k][i] = (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 0xFF];
    }
    return tables;
  }();
  uint32_t sum = ~0u;
  std::size_t at = 0;
  const auto byte = [&](std::size_t offset) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + offset])); };
  for (; at + 8 <= bytes.size(); at += 8) {
    uint32_t next = 0;
    for (std::size_t i = 0; i < 4; ++i) next ^= kTables[7 - i][((sum >> (8 * i)) & 0xFF) ^ byte(i)];
    for (std::size_t i = 4; i < 8; ++i) next ^= kTables[7 - i][byte(i)];
    sum = next;
  }
  for (; at < bytes.size(); ++at) sum = (sum >> 8) ^ kTables[0][(sum & 0xFF) ^ byte(0)];
  return ~sum;
}

[[noreturn]] void damaged(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::kModelDamaged, "the model '" + name + "' is damaged: " + why);
}

Sum sum_of(const Facts& facts, const std::string& what, const std::string& name) {
  const auto value = facts.one(what);
  const std::size_t space = value ? value->find(' ') : std::string_view::npos;
  if (space != std::string_view::npos) {
    const auto size = number_of<uint64_t>(value->substr(0, space));
    const auto sum = number_of<uint32_t>(value->substr(space + 1), 16);
    if (size && sum) return {what, *size, *sum};
  }
  damaged(name, "it lacks the sum of its " + what);
}

int64_t number_within(std::optional<std::string_view> text, int64_t least, int64_t most, const std::string& what,
                      const std::string& name) {
  const auto value = number_of<int64_t>(text);
  if (!value || *value < least || *value > most) damaged(name, "its description has no " + what);
  return *value;
}

[[noreturn]] void unknown(const std::string& name, const std::string& what, std::string_view value) {
  throw Error(ErrorCode::kModelUnsupported, "the model '" + name + "' has " + what + " '" + std::string(value) +
                                                "', which this library, " FER_FAST_VERSION ", does not know");
}

// A line each; none where the mix is not known, as in older exports.
void parse_prior(const Facts& facts, const std::string& name, Description& found) {
  double sum = 0;
  for (const std::string_view line : facts.all("prior")) {
    const bool digit = !line.empty() && line[0] >= '0' && line[0] <= '9';  // no sign, no point alone
    found.prior.push_back(digit ? number_in(line).value_or(-1) : -1);
    sum += found.prior.back();
  }
  if (found.prior.empty()) return;
  const bool shares = std::all_of(found.prior.begin(), found.prior.end(), [](double share) { return share >= 0 && share <= 1; });
  if (found.prior.size() != found.classes.size() || !shares || std::abs(sum - 1) > 1e-6) {
    damaged(name, "its description has no prior");
  }
}

void parse_classifier(const Facts& facts, const std::string& name, Description& found) {
  found.kind = Kind::kClassifier;
  found.image_size = number_within(facts.one("image_size"), 1, kMaxImageSide, "image_size", name);
  for (const std::string_view label : facts.all("class")) found.classes.emplace_back(label);
  if (found.classes.size() < 2 || found.classes.size() > kMostClasses) damaged(name, "its description has no classes");
  const std::string_view framing = facts.one("framing").value_or("points");  // older exports do not say
  const auto known = framing_named(framing);
  if (!known) unknown(name, "framing", framing);
  found.framing = *known;
  parse_prior(facts, name, found);
}

void parse_finder(const Facts& facts, const std::string& name, Description& found) {
  found.kind = Kind::kFinder;
  const std::string_view sides = facts.one("sides").value_or("");
  const std::size_t space = std::min(sides.find(' '), sides.size());
  found.least_side = number_within(sides.substr(0, space), 1, kMaxImageSide, "sides", name);
  found.most_side = number_within(sides.substr(std::min(space + 1, sides.size())), found.least_side, kMaxImageSide, "sides", name);
  // What becomes of an image is part of this library, not of the model.
  const std::string strides = facts.one("strides") ? std::string(*facts.one("strides")) : "";
  std::string known;
  for (const int64_t stride : kCellStrides) known += (known.empty() ? "" : " ") + std::to_string(stride);
  if (strides != known) unknown(name, "strides", strides);
  const std::string columns = facts.one("cells") ? std::string(*facts.one("cells")) : "";
  if (columns != std::to_string(kFaceColumns)) unknown(name, "cells", columns);
  if (found.least_side % kCellStrides[std::size(kCellStrides) - 1] != 0) unknown(name, "sides", sides);
}

// A description whose last line is its own sum.
Description parse_sealed(std::string_view text, const std::string& name) {
  const Description found = parse_description(text, name);  // first: one of another format may have other sums
  const std::size_t before = text.rfind("\ndescription ");
  if (before == std::string_view::npos || text.find('\n', before + 1) != text.size() - 1) {
    damaged(name, "its description is not whole");
  }
  check_bytes(sum_of(Facts{text.substr(before + 1)}, "description", name), text.substr(0, before + 1), name);
  return found;
}

}  // namespace

int64_t Description::outputs(int64_t height, int64_t width) const {
  return kind == Kind::kFinder ? cell_count(height, width) * kFaceColumns : static_cast<int64_t>(classes.size());
}

Description parse_description(std::string_view text, const std::string& name) {
  const Facts facts{text};
  const auto format = number_of<int64_t>(facts.one("format"));
  if (!format) damaged(name, "its description has no format");
  if (*format != kFormat) {
    throw Error(ErrorCode::kModelUnsupported, "the model '" + name + "' has format " + std::to_string(*format) +
                                                  ", this library reads " + std::to_string(kFormat) +
                                                  ": export it with the fer-fast of this library's version, " FER_FAST_VERSION);
  }
  Description found;
  for (const auto& [fact, place] : {std::pair{"version", &found.version}, std::pair{"model", &found.model},
                                    std::pair{"precision", &found.precision}}) {
    const auto value = facts.one(fact);
    if (!value) damaged(name, "its description has no " + std::string(fact));
    *place = *value;
  }
  found.batch_size = number_within(facts.one("batch_size"), 1, kMostBatch, "batch_size", name);
  for (const std::string_view needed : facts.all("instruction")) found.instructions.emplace_back(needed);
  const std::string_view kind = facts.one("kind").value_or("classifier");  // older exports have none but classifiers
  if (kind == "finder") {
    parse_finder(facts, name, found);
  } else if (kind == "classifier") {
    parse_classifier(facts, name, found);
  } else {
    unknown(name, "kind", kind);
  }
  return found;
}

SealedDescription read_sealed_graph(std::string_view graph, const std::string& name) {
  const std::size_t begin = graph.rfind(kOpening);
  if (begin == std::string_view::npos || graph.size() < begin + kOpening.size() + kClosing.size() ||
      graph.substr(graph.size() - kClosing.size()) != kClosing) {
    throw Error(ErrorCode::kModelUnsupported,
                "the model '" + name + "' is cut short, or was not written by fer-fast export --format openvino");
  }
  const Facts facts{graph.substr(begin + kOpening.size(), graph.size() - begin - kOpening.size() - kClosing.size())};
  const Description description = parse_sealed(facts.text, name);
  check_bytes(sum_of(facts, "graph", name), graph.substr(0, begin), name);
  return {description, sum_of(facts, "weights", name)};
}

SealedDescription read_sealed_engine(std::string_view text, const std::string& name) {
  return {parse_sealed(text, name), sum_of(Facts{text}, "engine", name)};
}

void check_size(const Sum& sum, uint64_t size, const std::string& name) {
  if (sum.size == size) return;
  damaged(name, "its " + sum.what + " must have " + std::to_string(sum.size) + " bytes, not " + std::to_string(size));
}

void check_bytes(const Sum& sum, std::string_view bytes, const std::string& name) {
  check_size(sum, bytes.size(), name);  // it may have changed since it was asked for
  if (sum.crc != crc32(bytes)) damaged(name, "its " + sum.what + " changed since it was exported");
}

}  // namespace fer_fast
