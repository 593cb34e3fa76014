#include "yuv.h"

#include <algorithm>
#include <cmath>

#include "workspace.h"

namespace fer_fast {
namespace {

constexpr int kDigits = 16;

// What ITU-R BT.601 and BT.709 say, in integers of so many binary digits.
struct Factors {
  int32_t black, bright, red_v, green_u, green_v, blue_u;
};

Factors factors_of(YuvMatrix matrix, YuvRange range) {
  const double red = matrix == YuvMatrix::kBt709 ? 0.2126 : 0.299, blue = matrix == YuvMatrix::kBt709 ? 0.0722 : 0.114;
  const double green = 1 - red - blue;
  const bool full = range == YuvRange::kFull;
  const double bright = full ? 1 : 255.0 / 219, colour = full ? 1 : 255.0 / 224;
  const auto whole = [](double factor) { return static_cast<int32_t>(std::lround(factor * (1 << kDigits))); };
  return {full ? 0 : 16,
          whole(bright),
          whole(2 * (1 - red) * colour),
          whole(-2 * blue * (1 - blue) / green * colour),
          whole(-2 * red * (1 - red) / green * colour),
          whole(2 * (1 - blue) * colour)};
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp((sum + (1 << (kDigits - 1))) >> kDigits, 0, 255)); }

// Where the bytes of a row are, and how far apart: of y a pixel's, of u and v two pixels'.
struct Row {
  const uint8_t *y, *u, *v;
  int64_t y_step, colour_step;
};

Row row_of(const ImageView& image, int64_t y) {
  const int64_t stride = image.stride != 0 ? image.stride : image.width * (image.format == PixelFormat::kYuyv ? 2 : 1);
  const uint8_t* const bright = image.data + y * stride;
  const uint8_t* const colour = image.data + image.height * stride;  // of the formats that have planes
  switch (image.format) {
    case PixelFormat::kNv12:
      return {bright, colour + y / 2 * stride, colour + y / 2 * stride + 1, 1, 2};
    case PixelFormat::kI420: {
      const uint8_t* const u = colour + y / 2 * (stride / 2);
      return {bright, u, u + image.height / 2 * (stride / 2), 1, 1};
    }
    default:
      return {bright, bright + 1, bright + 3, 2, 4};
  }
}

void write_rgb(const Row& row, int64_t begin, int64_t count, const Factors& factors, uint8_t* out) {
  for (int64_t x = begin; x < begin + count; ++x, out += 3) {
    const int32_t y = (row.y[x * row.y_step] - factors.black) * factors.bright;
    const int32_t u = row.u[x / 2 * row.colour_step] - 128, v = row.v[x / 2 * row.colour_step] - 128;
    out[0] = rounded(y + factors.red_v * v);
    out[1] = rounded(y + factors.green_u * u + factors.green_v * v);
    out[2] = rounded(y + factors.blue_u * u);
  }
}

}  // namespace

bool is_yuv(PixelFormat format) { return format >= PixelFormat::kNv12 && format <= PixelFormat::kYuyv; }

RgbView::RgbView(const ImageView& image, int64_t x, int64_t y, int64_t width, int64_t height, Workspace& space)
    : view_(image) {
  if (!is_yuv(image.format)) return;
  x_ = x;
  y_ = y;
  std::vector<uint8_t>& pixels = space.rgb;
  pixels.resize(static_cast<std::size_t>(width * height * 3));
  const Factors factors = factors_of(image.matrix, image.range);
  for (int64_t line = 0; line < height; ++line) {
    write_rgb(row_of(image, y + line), x, width, factors, &pixels[static_cast<std::size_t>(line * width * 3)]);
  }
  view_ = {};
  view_.data = pixels.data();
  view_.size = pixels.size();
  view_.width = width;
  view_.height = height;
}

}  // namespace fer_fast
