#include "resize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "workspace.h"
#include "yuv.h"

namespace fer_fast {
namespace {

// Pillow computes 8-bit images in integers: weights have this many binary digits, and each pass rounds to bytes.
constexpr int kDigits = 32 - 8 - 2;

[[noreturn]] void refuse(std::size_t index, const std::string& rule) {
  throw Error(ErrorCode::kInvalidArgument, "image " + std::to_string(index) + ": " + rule);
}

// Pillow's precompute_coeffs with its bilinear filter, a triangle that widens when the image shrinks.
// `part` is how much of the source's side is seen, from its beginning.
void find_weights(int64_t source, double part, int64_t target, std::vector<double>& exact, ResizeWeights& found) {
  const double scale = part / static_cast<double>(target);
  const double support = std::max(scale, 1.0), inverse = 1.0 / support;
  found.stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  found.windows.resize(static_cast<std::size_t>(target));
  found.weights.assign(static_cast<std::size_t>(target * found.stride), 0);
  exact.resize(static_cast<std::size_t>(found.stride));
  for (int64_t place = 0; place < target; ++place) {
    const double center = (static_cast<double>(place) + 0.5) * scale;
    const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const int64_t end = std::min<int64_t>(source, static_cast<int64_t>(center + support + 0.5));
    double sum = 0;
    for (int64_t i = 0; i < end - begin; ++i) {
      const double distance = std::fabs((static_cast<double>(i + begin) - center + 0.5) * inverse);
      exact[static_cast<std::size_t>(i)] = distance < 1 ? 1 - distance : 0;
      sum += exact[static_cast<std::size_t>(i)];
    }
    int32_t* weights = &found.weights[static_cast<std::size_t>(place * found.stride)];
    for (int64_t i = 0; i < end - begin; ++i) {
      const double weight = sum != 0 ? exact[static_cast<std::size_t>(i)] / sum : 0;
      weights[i] = static_cast<int32_t>(0.5 + weight * (1 << kDigits));
    }
    found.windows[static_cast<std::size_t>(place)] = {begin, end - begin};
  }
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kDigits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kDigits - 1);

// One row of kChannels channels, kStep bytes a pixel, to as many pixels as there are windows.
template <int kStep, int kChannels>
void shrink_row(const uint8_t* row, const ResizeWeights& weights, uint8_t* out) {
  for (std::size_t place = 0; place < weights.windows.size(); ++place) {
    const auto [begin, count] = weights.windows[place];
    const int32_t* weight = &weights.weights[place * static_cast<std::size_t>(weights.stride)];
    const uint8_t* pixel = row + begin * kStep;
    int32_t sums[kChannels];
    for (int channel = 0; channel < kChannels; ++channel) sums[channel] = kHalf;
    for (int64_t i = 0; i < count; ++i, pixel += kStep) {
      for (int channel = 0; channel < kChannels; ++channel) sums[channel] += pixel[channel] * weight[i];
    }
    for (int channel = 0; channel < kChannels; ++channel) *out++ = rounded(sums[channel]);
  }
}

using ShrinkRow = void (*)(const uint8_t*, const ResizeWeights&, uint8_t*);

ShrinkRow shrink_row_of(PixelFormat format) {
  switch (format) {
    case PixelFormat::kGrey8: return shrink_row<1, 1>;
    case PixelFormat::kRgba8: return shrink_row<4, 3>;
    default: return shrink_row<3, 3>;
  }
}

using Bytes = std::vector<uint8_t>;

struct Rows {
  const uint8_t* data;
  int64_t stride, count;
};

// Every row to `line` bytes.
void pass_across(const Rows& rows, ShrinkRow shrink, const ResizeWeights& across, int64_t line, Bytes& out) {
  out.resize(static_cast<std::size_t>(rows.count * line));
  for (int64_t y = 0; y < rows.count; ++y) shrink(rows.data + y * rows.stride, across, &out[static_cast<std::size_t>(y * line)]);
}

// Rows of `line` bytes to as many as there are windows.
void pass_down(const Rows& rows, int64_t line, const ResizeWeights& down, std::vector<int32_t>& sums, Bytes& out) {
  out.resize(down.windows.size() * static_cast<std::size_t>(line));
  sums.resize(static_cast<std::size_t>(line));
  for (std::size_t y = 0; y < down.windows.size(); ++y) {
    const auto [begin, count] = down.windows[y];
    const int32_t* weight = &down.weights[y * static_cast<std::size_t>(down.stride)];
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* row = rows.data + (begin + i) * rows.stride;
      for (std::size_t x = 0; x < sums.size(); ++x) sums[x] += row[x] * weight[i];
    }
    std::transform(sums.begin(), sums.end(), &out[y * sums.size()], rounded);
  }
}

// Rows of pixels of one, three or four channels to RGB.
void write_rgb(const Rows& rows, int64_t width, int64_t pixel, PixelFormat format, uint8_t* out, int64_t stride) {
  for (int64_t y = 0; y < rows.count; ++y, out += stride) {
    const uint8_t* from = rows.data + y * rows.stride;
    if (pixel == 3 && format != PixelFormat::kBgr8) {
      std::copy(from, from + width * 3, out);
      continue;
    }
    const int red = format == PixelFormat::kBgr8 ? 2 : 0, green = pixel == 1 ? 0 : 1, blue = pixel == 1 ? 0 : 2 - red;
    for (int64_t x = 0; x < width; ++x, from += pixel) {
      out[3 * x] = from[red];
      out[3 * x + 1] = from[green];
      out[3 * x + 2] = from[blue];
    }
  }
}

int64_t row_bytes(const ImageView& image) {
  switch (image.format) {
    case PixelFormat::kNv12:
    case PixelFormat::kI420: return image.width;
    case PixelFormat::kYuyv: return 2 * image.width;
    default: return image.width * bytes_a_pixel(image.format);
  }
}

// Divided, not multiplied: a huge stride must not overflow.
bool holds(std::size_t size, int64_t rows, int64_t stride, int64_t last) {
  const auto bytes = static_cast<uint64_t>(last);
  return size >= bytes && (size - bytes) / static_cast<uint64_t>(stride) >= static_cast<uint64_t>(rows);
}

void check_yuv(const ImageView& image, std::size_t index) {
  const bool planes = image.format != PixelFormat::kYuyv;
  if (image.width % 2 != 0 || (planes && image.height % 2 != 0)) {
    refuse(index, std::string("of this format the width") + (planes ? " and the height" : "") + " must be even, not " +
                      std::to_string(image.width) + " x " + std::to_string(image.height));
  }
  if (image.format == PixelFormat::kI420 && image.stride % 2 != 0) {
    refuse(index, "the stride of an I420 must be even, not " + std::to_string(image.stride));
  }
  const auto matrix = static_cast<int32_t>(image.matrix), range = static_cast<int32_t>(image.range);
  if (matrix < 1 || matrix > 2) refuse(index, "matrix must be 1 or 2 (a YuvMatrix), not " + std::to_string(matrix));
  if (range < 1 || range > 2) refuse(index, "range must be 1 or 2 (a YuvRange), not " + std::to_string(range));
}

void check_yuv_size(const ImageView& image, int64_t stride, std::size_t index) {
  // Of I420 the rows of colour have half the stride: all are counted in those.
  const bool halves = image.format == PixelFormat::kI420, planes = image.format != PixelFormat::kYuyv;
  const int64_t rows = halves ? 3 * image.height - 1 : planes ? image.height / 2 * 3 - 1 : image.height - 1;
  const int64_t unit = halves ? stride / 2 : stride, last = halves ? image.width / 2 : row_bytes(image);
  if (holds(image.size, rows, unit, last)) return;
  refuse(index, "size must be at least " + std::to_string(rows) + " x " + std::to_string(unit) + " + " +
                    std::to_string(last) + " bytes, of brightness and colour, not " + std::to_string(image.size));
}

}  // namespace

int64_t bytes_a_pixel(PixelFormat format) {
  switch (format) {
    case PixelFormat::kGrey8: return 1;
    case PixelFormat::kRgb8:
    case PixelFormat::kBgr8: return 3;
    case PixelFormat::kRgba8: return 4;
    default: return 0;
  }
}

void check_image(const ImageView& image, std::size_t index) {
  const auto text = [](auto number) { return std::to_string(number); };
  if (image.format < PixelFormat::kGrey8 || image.format > PixelFormat::kYuyv) {
    refuse(index, "format must be 0 to 6 (a PixelFormat), not " + text(static_cast<int32_t>(image.format)));
  }
  if (image.data == nullptr) refuse(index, "data must not be null");
  for (const int64_t side : {image.width, image.height}) {
    if (side < 1 || side > kMaxImageSide) {
      refuse(index, "width and height must be 1 to " + text(kMaxImageSide) + ", not " + text(image.width) + " x " +
                        text(image.height));
    }
  }
  if (is_yuv(image.format)) check_yuv(image, index);
  const int64_t row = row_bytes(image), stride = image.stride == 0 ? row : image.stride;
  if (stride < row) {
    refuse(index, "stride must be 0 or at least a row's " + text(row) + " bytes, not " + text(image.stride));
  }
  if (is_yuv(image.format)) return check_yuv_size(image, stride, index);
  if (!holds(image.size, image.height - 1, stride, row)) {
    refuse(index, "size must be at least height - 1 strides and a row, " + text(image.height - 1) + " x " +
                      text(stride) + " + " + text(row) + " bytes, not " + text(image.size));
  }
}

void check_count(std::size_t count) {
  constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(ImageView);
  if (count <= kMost) return;
  throw Error(ErrorCode::kInvalidArgument,
              "count must be at most " + std::to_string(kMost) + ", not " + std::to_string(count));
}

void resize_to(const ImageView& image, int64_t width, int64_t height, uint8_t* out, int64_t stride, Workspace& space) {
  const auto across = static_cast<double>(image.width), down = static_cast<double>(image.height);
  resize_part_to(image, across, down, width, height, out, stride, space);
}

void resize_part_to(const ImageView& image, double across, double down, int64_t width, int64_t height, uint8_t* out,
                    int64_t stride, Workspace& space) {
  const int64_t pixel = bytes_a_pixel(image.format), resized = pixel == 1 ? 1 : 3, line = width * resized;
  const Rows source{image.data, image.stride == 0 ? image.width * pixel : image.stride, image.height};
  const bool same = width == image.width && height == image.height;
  if (same && across == static_cast<double>(width) && down == static_cast<double>(height)) {
    return write_rgb(source, width, pixel, image.format, out, stride);
  }
  const ShrinkRow shrink = shrink_row_of(image.format);
  const ResizeWeights &columns = space.resize_columns, &rows = space.resize_rows;
  find_weights(image.width, across, width, space.resize_exact, space.resize_columns);
  find_weights(image.height, down, height, space.resize_exact, space.resize_rows);
  // Each pass rounds, so that their order shows. Since version 13 Pillow begins with the side that saves the most work.
  Bytes &first = space.resize_first, &pixels = space.resize_second;
  if (image.height > height && image.height - height > 2 * (image.width - width)) {
    pass_down(source, image.width * pixel, rows, space.resize_sums, first);
    pass_across({first.data(), image.width * pixel, height}, shrink, columns, line, pixels);
  } else {
    pass_across(source, shrink, columns, line, first);
    pass_down({first.data(), line, image.height}, line, rows, space.resize_sums, pixels);
  }
  write_rgb({pixels.data(), line, height}, width, resized, image.format, out, stride);
}

}  // namespace fer_fast
