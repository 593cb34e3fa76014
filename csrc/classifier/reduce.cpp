#include "reduce.h"

#include <algorithm>
#include <vector>

#include "resize.h"
#include "workspace.h"

namespace fer_fast {
namespace {

// A mean as Pillow rounds it, of `count` bytes.
struct Mean {
  uint32_t half, factor;

  explicit Mean(int64_t count)
      : half(static_cast<uint32_t>(count / 2)), factor((uint32_t{1} << 24) / static_cast<uint32_t>(count)) {}
  uint8_t of(uint32_t sum) const { return static_cast<uint8_t>(((sum + half) * factor) >> 24); }
};

// The sums of `across` neighbours, of kPixel numbers a pixel and of them kChannels, to means: of all that a row of
// `width` pixels has, the last of them of what is left.
template <int kPixel, int kChannels>
void write_means(const uint32_t* sums, int64_t width, int64_t across, int64_t down, uint8_t* out) {
  for (int64_t x = 0; x < width; x += across) {
    const int64_t taken = std::min(across, width - x);
    const Mean mean(taken * down);
    uint32_t totals[kChannels] = {};
    for (int64_t i = 0; i < taken; ++i, sums += kPixel) {
      for (int channel = 0; channel < kChannels; ++channel) totals[channel] += sums[channel];
    }
    for (const uint32_t total : totals) *out++ = mean.of(total);
  }
}

using WriteMeans = void (*)(const uint32_t*, int64_t, int64_t, int64_t, uint8_t*);

WriteMeans write_means_of(PixelFormat format) {
  switch (format) {
    case PixelFormat::kGrey8:
      return write_means<1, 1>;
    case PixelFormat::kRgba8:
      return write_means<4, 3>;
    default:
      return write_means<3, 3>;
  }
}

}  // namespace

void reduce_to(const ImageView& image, int64_t width, int64_t height, uint8_t* out, int64_t stride, Workspace& space) {
  const int64_t across = std::max<int64_t>(1, image.width / width), down = std::max<int64_t>(1, image.height / height);
  if (across == 1 && down == 1) return resize_to(image, width, height, out, stride, space);
  const int64_t pixel = bytes_a_pixel(image.format), bytes = image.width * pixel, channels = pixel == 1 ? 1 : 3;
  const int64_t row_stride = image.stride == 0 ? bytes : image.stride;
  ImageView means;
  means.width = (image.width + across - 1) / across;
  means.height = (image.height + down - 1) / down;
  means.format = image.format == PixelFormat::kRgba8 ? PixelFormat::kRgb8 : image.format;
  std::vector<uint8_t>& pixels = space.reduce_means;
  pixels.resize(static_cast<std::size_t>(means.width * means.height * channels));
  means.data = pixels.data();
  means.size = pixels.size();
  const WriteMeans write = write_means_of(image.format);
  std::vector<uint32_t>& sums = space.reduce_sums;
  sums.resize(static_cast<std::size_t>(bytes));
  for (int64_t y = 0; y < means.height; ++y) {
    const int64_t taken = std::min(down, image.height - y * down);
    std::fill(sums.begin(), sums.end(), 0);
    for (int64_t i = 0; i < taken; ++i) {
      const uint8_t* row = image.data + (y * down + i) * row_stride;
      for (int64_t x = 0; x < bytes; ++x) sums[static_cast<std::size_t>(x)] += row[x];
    }
    write(sums.data(), image.width, across, taken, &pixels[static_cast<std::size_t>(y * means.width * channels)]);
  }
  // Pillow has these in single precision.
  const auto part_across = static_cast<float>(static_cast<double>(image.width) / static_cast<double>(across));
  const auto part_down = static_cast<float>(static_cast<double>(image.height) / static_cast<double>(down));
  resize_part_to(means, part_across, part_down, width, height, out, stride, space);
}

}  // namespace fer_fast
