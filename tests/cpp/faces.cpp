// Faces, worked by hand: what the network says of cells, where crops lie, crops. Exits with 0 when all is right.
#include <cmath>
#include <iostream>

#include "../../csrc/faces/cells.h"
#include "../../csrc/faces/crops.h"
#include "../../csrc/faces/framing.h"

using namespace fer_fast;

static int wrong(const char* what) {
  std::cerr << what << '\n';
  return 1;
}

static bool near(double some, double other) { return std::fabs(some - other) < 1e-4; }

int main() {
  // An image of 32 x 32: 16 cells of 8 px, 4 of 16, 1 of 32. The sixth is in the second row and column.
  float cells[21][kFaceColumns] = {};
  const float said[kFaceColumns] = {0.75f, 0.5f, 0.5f, std::log(2.0f), std::log(3.0f), 0, 0, 1, 0, 0.5f, 0.5f, 0,
                                    1,     1,    1};
  for (int64_t i = 0; i < kFaceColumns; ++i) cells[5][i] = cells[6][i] = said[i];
  cells[6][0] = 0.5f;  // half of it is the other one's: the same face
  cells[6][1] = -0.25f;
  const std::vector<float> faces = faces_in(cells[0], 32, 32, 0.4, kFaceOverlap);
  if (faces.size() != kFaceColumns) return wrong("one face");
  const float face[kFaceColumns] = {4, 0, 16, 24, 8, 8, 16, 8, 12, 12, 8, 16, 16, 16, 0.75f};
  for (int64_t i = 0; i < kFaceColumns; ++i) {
    if (!near(faces[static_cast<std::size_t>(i)], face[i])) return wrong("the face's place");
  }

  // Its box is 24 a side about (12, 12), and begins at (0, 0).
  double matrix[6];
  crop_matrix(face, Framing::kBox, 12, matrix);
  const double box[6] = {2, 0, 0, 0, 2, 0};
  for (int i = 0; i < 6; ++i) {
    if (!near(matrix[i], box[i])) return wrong("the box's matrix");
  }
  // With the eyes one above the other it is a quarter of a turn about the same centre.
  const float upended[14] = {4, 0, 16, 24, 12, 8, 12, 16};
  crop_matrix(upended, Framing::kLevel, 12, matrix);
  const double turned[6] = {0, -2, 24, 2, 0, 0};
  for (int i = 0; i < 6; ++i) {
    if (!near(matrix[i], turned[i])) return wrong("the level matrix");
  }

  // Grey, 2 x 2, with a gap between its rows.
  const uint8_t pixels[] = {0, 100, 77, 200, 40};
  Cropper cropper;
  uint8_t crop[2 * 2 * 3];
  const double half[6] = {1, 0, 0.5, 0, 1, 0};  // half a pixel to the right: between two, and at the edge
  cropper.cut({pixels, 2, 2, 3, 1}, half, 2, crop);
  const uint8_t wanted[] = {50, 50, 50, 100, 100, 100, 120, 120, 120, 40, 40, 40};
  for (int i = 0; i < 12; ++i) {
    if (crop[i] != wanted[i]) return wrong("a crop between pixels");
  }
  const double all[6] = {2, 0, 0, 0, 2, 0};
  cropper.cut({pixels, 2, 2, 3, 1}, all, 1, crop);
  return crop[0] == 85 ? 0 : wrong("a crop of all");
}
