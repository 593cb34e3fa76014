#include "orientation.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace {

using Bytes = std::string;

constexpr std::size_t kMost = 1 << 20;  // bytes of a part of a file that are looked at

struct Metadata {
  Bytes exif, xmp;
};

uint64_t number_at(const Bytes& data, std::size_t place, std::size_t size, bool big) {
  uint64_t found = 0;
  for (std::size_t i = 0; i < size; ++i) {
    found = found << 8 | static_cast<uint8_t>(data[place + (big ? i : size - 1 - i)]);
  }
  return found;
}

bool begins(const Bytes& data, const Bytes& with) { return data.compare(0, with.size(), with) == 0; }

// Up to `size` bytes, fewer at the end of the file, and on to what follows them.
Bytes next(std::istream& file, std::size_t size) {
  const std::istream::pos_type begin = file.tellg();
  Bytes data(std::min(size, kMost), '\0');
  file.read(&data[0], static_cast<std::streamsize>(data.size()));
  data.resize(static_cast<std::size_t>(file.gcount()));
  file.seekg(begin + static_cast<std::streamoff>(size));
  return data;
}

Metadata of_jpeg(std::istream& file) {
  static const Bytes kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  Metadata found;
  file.seekg(2);
  for (Bytes head = next(file, 4); head.size() == 4 && head[0] == '\xFF'; head = next(file, 4)) {
    const uint8_t marker = static_cast<uint8_t>(head[1]);
    if (marker == 0xFF) {  // fill
      file.seekg(-3, std::ios::cur);
      continue;
    }
    const std::size_t length = number_at(head, 2, 2, true);
    if (marker == 0xDA || marker == 0xD9 || length < 2) break;  // pixels follow
    const Bytes data = next(file, length - 2);
    if (marker != 0xE1) continue;
    if (begins(data, kExif)) found.exif += found.exif.empty() ? data : data.substr(kExif.size());
    if (begins(data, kXmp)) found.xmp = data.substr(kXmp.size());
  }
  return found;
}

Metadata of_png(std::istream& file) {
  static const Bytes kXmp("XML:com.adobe.xmp\0\0\0", 20);  // not compressed
  Metadata found;
  file.seekg(8);
  for (Bytes head = next(file, 8); head.size() == 8 && head.substr(4) != "IEND"; head = next(file, 8)) {
    const bool is_exif = head.substr(4) == "eXIf", is_text = head.substr(4) == "iTXt";
    const std::size_t length = number_at(head, 0, 4, true) + 4;  // and a checksum
    if (is_exif || is_text) {
      const Bytes data = next(file, length);
      if (is_exif) found.exif = data.substr(0, length - 4);
      if (is_text && begins(data, kXmp)) found.xmp = data;
    } else {
      file.seekg(static_cast<std::streamoff>(length), std::ios::cur);
    }
  }
  return found;
}

Metadata of_webp(std::istream& file) {
  Metadata found;
  file.seekg(12);
  for (Bytes head = next(file, 8); head.size() == 8; head = next(file, 8)) {
    const std::size_t length = number_at(head, 4, 4, false);
    const Bytes data = next(file, length + length % 2).substr(0, length);
    if (begins(head, "EXIF")) found.exif = data;
    if (begins(head, "XMP ")) found.xmp = data;
  }
  return found;
}

// The value of a tag of that type: whole numbers, floating ones, fractions; 0 for text.
double value_of(const Bytes& tiff, unsigned type, std::size_t place, bool big) {
  const auto whole = [&](std::size_t size) { return number_at(tiff, place, size, big); };
  switch (type) {
    case 1: return static_cast<double>(whole(1));
    case 3: return static_cast<double>(whole(2));
    case 4:
    case 13: return static_cast<double>(whole(4));
    case 6: return static_cast<int8_t>(whole(1));
    case 8: return static_cast<int16_t>(whole(2));
    case 9: return static_cast<int32_t>(whole(4));
    case 16: return static_cast<double>(whole(8));
    case 5:
    case 10: {
      const uint64_t top = whole(4), bottom = number_at(tiff, place + 4, 4, big);
      if (bottom == 0) return 0;
      if (type == 5) return static_cast<double>(top) / static_cast<double>(bottom);
      return static_cast<double>(static_cast<int32_t>(top)) / static_cast<int32_t>(bottom);
    }
    case 11: {
      const uint32_t bits = static_cast<uint32_t>(whole(4));
      float value = 0;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    }
    case 12: {
      const uint64_t bits = whole(8);
      double value = 0;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    }
    default: return 0;
  }
}

// The value of the tag of orientation, if there is one.
std::optional<double> tagged(Bytes tiff) {
  static const Bytes kPrefix("Exif\0\0", 6);
  constexpr std::size_t kSizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};  // of a value, by type
  for (int times = 0; times < 2 && begins(tiff, kPrefix); ++times) tiff.erase(0, kPrefix.size());
  if (tiff.size() < 8) return {};
  const Bytes magic = tiff.substr(0, 4);
  const bool big = magic == Bytes("MM\0*", 4) || magic == Bytes("MM*\0", 4) || magic == Bytes("MM\0+", 4);
  if (!big && magic != Bytes("II*\0", 4) && magic != Bytes("II\0*", 4)) return {};
  const std::size_t directory = number_at(tiff, 4, 4, big);
  if (directory + 2 > tiff.size()) return {};
  const std::size_t end = directory + 2 + 12 * number_at(tiff, directory, 2, big);
  std::set<uint64_t> seen;
  uint64_t elsewhere = 0;
  for (std::size_t entry = directory + 2; entry < end && entry + 12 <= tiff.size(); entry += 12) {
    const uint64_t tag = number_at(tiff, entry, 2, big), type = number_at(tiff, entry + 2, 2, big);
    const uint64_t size = type < std::size(kSizes) ? kSizes[type] * number_at(tiff, entry + 4, 4, big) : 0;
    if (size == 0 || seen.count(tag)) continue;
    std::size_t place = entry + 8;
    if (size > 4) {
      place = number_at(tiff, entry + 8, 4, big);
      elsewhere += size;
      if (elsewhere > tiff.size()) continue;      // as Pillow does without such a tag
      if (place + size > tiff.size()) return {};  // and stops here
    }
    if (tag == 0x0112) return value_of(tiff, static_cast<unsigned>(type), place, big);
    seen.insert(tag);
  }
  return {};
}

double in_xmp(const Bytes& xmp) {
  static const Bytes kName = "tiff:Orientation";
  for (std::size_t place = xmp.find(kName); place != Bytes::npos; place = xmp.find(kName, place + 1)) {
    std::size_t digit = place + kName.size();
    digit += xmp.compare(digit, 2, "=\"") == 0 ? 2 : xmp.compare(digit, 1, ">") == 0 ? 1 : xmp.size();
    if (digit < xmp.size() && xmp[digit] >= '0' && xmp[digit] <= '9') return xmp[digit] - '0';
  }
  return 1;
}

}  // namespace

int orientation_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const Bytes head = next(file, 12);
  Metadata found;
  if (begins(head, "\xFF\xD8\xFF")) {
    found = of_jpeg(file);
  } else if (begins(head, Bytes("\x89PNG\r\n\x1A\n", 8))) {
    found = of_png(file);
  } else if (begins(head, "RIFF") && head.size() == 12 && head.substr(8) == "WEBP") {
    found = of_webp(file);
  } else {
    return 0;
  }
  const std::optional<double> tag = tagged(found.exif);
  const double value = tag ? *tag : in_xmp(found.xmp);
  const int orientation = value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  return orientation == value ? orientation : 1;
}

Image upright(const Image& image, int orientation) {
  if (!image.pixels || orientation < 2 || orientation > 8) return image;
  const bool swaps = orientation >= 5;  // rows become columns, then each order may be reversed
  const bool upwards = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool leftwards = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Image turned = image;
  if (swaps) std::swap(turned.view.width, turned.view.height);
  const int64_t width = turned.view.width, height = turned.view.height;
  auto pixels = std::make_shared<std::vector<uint8_t>>(image.view.size);
  uint8_t* target = pixels->data();
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x, target += 3) {
      const int64_t row = upwards ? height - 1 - y : y, column = leftwards ? width - 1 - x : x;
      const int64_t place = swaps ? column * image.view.width + row : row * image.view.width + column;
      std::memcpy(target, image.view.data + 3 * place, 3);
    }
  }
  turned.view.data = pixels->data();
  turned.pixels = std::move(pixels);
  return turned;
}
