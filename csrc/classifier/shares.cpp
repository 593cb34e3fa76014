#include "shares.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

#include "fer_fast/image.h"
#include "json_object.h"
#include "numbers.h"
#include "utf8.h"

namespace fer_fast {
namespace {

// Bytes that a file of shares may have.
constexpr std::size_t kMostBytes = 1 << 20;
// What is taken away around a class or a share.
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kSpaces = " \t\n\v\f\r\x1c\x1d\x1e\x1f";

[[noreturn]] void refuse(std::string what) {
  for (char& letter : what) {
    if (static_cast<unsigned char>(letter) < ' ') letter = ' ';  // what() is a line
  }
  throw Error(ErrorCode::kInvalidArgument, "prior " + what);
}

std::string_view stripped(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
  return text.substr(0, text.find_last_not_of(kSpaces) + 1);
}

std::vector<std::string_view> parts_of(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// What is before and behind the last = of a part.
Members::value_type pair_in(std::string_view part) {
  const std::size_t sign = part.rfind('=');
  if (sign == std::string_view::npos) {
    refuse("must have a class, a = and its share in each part, not '" + std::string(stripped(part)) + "'");
  }
  return {std::string(stripped(part.substr(0, sign))), std::string(stripped(part.substr(sign + 1)))};
}

// The first bytes of a file, one more than it may have.
std::string content_of(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  const std::array none{ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP};
  if (!file && std::find(none.begin(), none.end(), errno) != none.end()) {
    refuse("must be train, balanced, shares such as anger=0.2,fear=0.8 or a file of them, not '" + path + "'");
  }
  std::string bytes(kMostBytes + 1, '\0');
  if (file) bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  if (!file || std::ferror(file.get())) refuse("cannot be read from '" + path + "': " + std::strerror(errno));
  return bytes;
}

Members pairs_of_file(const std::string& path) {
  const std::string content = content_of(path);
  std::string_view text = content;
  // Editors of Windows put one before UTF-8.
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) text.remove_prefix(kByteOrderMark.size());
  const bool json = stripped(text).substr(0, 1) == "{", readable = content.size() <= kMostBytes && is_utf8(text);
  std::optional<Members> pairs;
  if (readable && json) {
    pairs = members_in(text);
  } else if (readable) {
    pairs.emplace();
    for (const std::string_view line : parts_of(text, '\n')) {
      const std::string_view said = stripped(line.substr(0, line.find('#')));
      if (!said.empty()) pairs->push_back(pair_in(said));
    }
  }
  if (!pairs) refuse("cannot be read from '" + path + "': it must be a JSON object or lines of class=share");
  return *pairs;
}

// As fer_fast/models/config.py has it: of a smaller share float holds no number to divide by.
constexpr double kSmallestShare = std::numeric_limits<float>::min();

double share_in(const Members::value_type& pair) {
  const std::optional<double> share = number_in(pair.second);
  if (!share || *share < 0) refuse("must have numbers of 0 or more; '" + pair.first + "' has " + pair.second);
  return *share;
}

// The shares in the order of the classes, made to sum to 1.
std::vector<double> in_order(const Members& pairs, const std::vector<std::string>& classes) {
  const auto unfit = [&](const std::string& name, const std::string& why) {
    std::string names;
    for (const std::string& each : classes) names += (names.empty() ? "" : ", ") + each;
    refuse("must have a share for each of " + names + "; '" + name + "' is " + why);
  };
  std::vector<std::optional<double>> found(classes.size());
  for (const auto& pair : pairs) {
    const auto place = std::find(classes.begin(), classes.end(), pair.first);
    if (place == classes.end()) unfit(pair.first, "none of them");
    std::optional<double>& share = found[static_cast<std::size_t>(place - classes.begin())];
    if (share) unfit(pair.first, "there twice");
    share = share_in(pair);
  }
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (!found[i]) unfit(classes[i], "missing");
  }
  const double most = **std::max_element(found.begin(), found.end());
  if (most == 0) refuse("must have a share above 0; all are 0");
  std::vector<double> shares;
  double sum = 0;
  for (const auto& share : found) {
    shares.push_back(*share / most);  // the sum of counts might be too large for a double
    sum += shares.back();
  }
  for (double& share : shares) {
    share /= sum;
    if (share < kSmallestShare) share = 0;
  }
  return shares;
}

}  // namespace

std::vector<double> shares_of(const std::string& prior, const std::vector<std::string>& classes) {
  if (prior == "train") return {};
  if (prior == "balanced") return std::vector<double>(classes.size(), 1.0 / static_cast<double>(classes.size()));
  if (prior.find('=') == std::string::npos) return in_order(pairs_of_file(prior), classes);
  Members pairs;
  for (const std::string_view part : parts_of(prior, ',')) pairs.push_back(pair_in(part));
  return in_order(pairs, classes);
}

std::string prior_text(const std::vector<double>& shares, const std::vector<std::string>& classes) {
  if (shares.empty()) return "train";
  const auto [least, most] = std::minmax_element(shares.begin(), shares.end());
  if (*least == *most) return "balanced";
  std::string text;
  for (std::size_t i = 0; i < shares.size(); ++i) text += (i == 0 ? "" : ",") + classes[i] + "=" + text_of(shares[i]);
  return text;
}

}  // namespace fer_fast
