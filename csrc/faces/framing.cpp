#include "framing.h"

#include <algorithm>
#include <cmath>
#include <complex>

namespace fer_fast {
namespace {

using Point = std::complex<double>;

// Where a crop of kTemplateSide pixels has the eyes, the nose and the corners of the mouth.
constexpr double kTemplateSide = 112;
constexpr int kLandmarks = 5;
constexpr double kTemplate[kLandmarks][2] = {{35.0, 43.5}, {77.0, 43.5}, {56.0, 67.2}, {38.9, 84.2}, {73.1, 84.2}};
// A crop by the landmarks is at most so many times as large as the box, or as small; and its centre is in the box.
constexpr double kMostUnlike = 2;

// The map point -> scale * point + shift, a turn and a change of size: as a matrix.
void write_matrix(const Point& scale, const Point& shift, double* matrix) {
  const double rows[6] = {scale.real(), -scale.imag(), shift.real(), scale.imag(), scale.real(), shift.imag()};
  std::copy(rows, rows + 6, matrix);
}

// The box's square, turned: `turn` has length 1.
void box_matrix(const float* face, const Point& turn, double size, double* matrix) {
  const double x = face[0], y = face[1], wide = face[2], high = face[3];
  const Point center(x + wide / 2, y + high / 2), scale = turn * (std::max(wide, high) / size);
  write_matrix(scale, center - scale * Point(size / 2, size / 2), matrix);
}

Point landmark(const float* face, int index) { return {face[4 + 2 * index], face[5 + 2 * index]}; }

// Umeyama's similarity without reflection from the landmarks to the template, inverted; false if there is none, or none
// that fits the box.
bool points_matrix(const float* face, double size, double* matrix) {
  Point found_mean, wanted_mean;
  for (int i = 0; i < kLandmarks; ++i) {
    found_mean += landmark(face, i) / double{kLandmarks};
    wanted_mean += Point(kTemplate[i][0], kTemplate[i][1]) * (size / kTemplateSide / kLandmarks);
  }
  Point together;
  double spread = 0;
  for (int i = 0; i < kLandmarks; ++i) {
    const Point found = landmark(face, i) - found_mean;
    together += std::conj(found) * (Point(kTemplate[i][0], kTemplate[i][1]) * (size / kTemplateSide) - wanted_mean);
    spread += std::norm(found);
  }
  const Point scale = spread / together;
  const Point shift = found_mean - scale * wanted_mean;
  const double side = std::abs(scale) * size, longer = std::max(face[2], face[3]);
  if (!(side >= longer / kMostUnlike && side <= longer * kMostUnlike)) return false;  // nor is it a number
  const Point center = scale * Point(size / 2, size / 2) + shift - Point(face[0], face[1]);
  if (!(center.real() >= 0 && center.real() <= face[2] && center.imag() >= 0 && center.imag() <= face[3])) return false;
  write_matrix(scale, shift, matrix);
  return true;
}

// Of the eyes, from the left in the image to the right; 1 where they say nothing.
Point turn_of(const float* face) {
  const Point eyes = landmark(face, 1) - landmark(face, 0);
  const double apart = std::abs(eyes);
  return std::isfinite(apart) && apart > 0 ? eyes / apart : Point(1);
}

}  // namespace

std::optional<Framing> framing_named(std::string_view name) {
  for (const Framing framing : {Framing::kPoints, Framing::kBox, Framing::kLevel}) {
    if (name == framing_name(framing)) return framing;
  }
  return std::nullopt;
}

const char* framing_name(Framing framing) {
  switch (framing) {
    case Framing::kPoints:
      return "points";
    case Framing::kBox:
      return "box";
    default:
      return "level";
  }
}

bool has_box(const float* face) {
  return std::all_of(face, face + 4, [](float value) { return std::isfinite(value); }) && face[2] > 0 && face[3] > 0;
}

void crop_matrix(const float* face, Framing framing, int64_t size, double* matrix) {
  const auto side = static_cast<double>(size);
  if (framing == Framing::kPoints && points_matrix(face, side, matrix)) return;
  box_matrix(face, framing == Framing::kLevel ? turn_of(face) : Point(1), side, matrix);
}

}  // namespace fer_fast
