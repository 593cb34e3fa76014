// What the finder's network says of an image's cells comes in, its faces go out.
#pragma once

#include <cstdint>
#include <vector>

namespace fer_fast {

// Of a cell: score, box, five landmarks; of a face: x, y, width, height, x and y of five landmarks, score.
constexpr int64_t kFaceColumns = 15;
// Pixels of the image a cell of each scale stands for, in the order of the cells.
constexpr int64_t kCellStrides[] = {8, 16, 32};
// Of two boxes whose intersection is a larger part of their union, one is the same face once more.
constexpr double kFaceOverlap = 0.3;
// Cells of the highest scores that are looked at, as OpenCV has it: each is compared with every other.
constexpr int64_t kMostCells = 5000;

// Of an image whose sides are multiples of the largest stride.
int64_t cell_count(int64_t height, int64_t width);

// The faces of one image by falling score, rows of kFaceColumns in pixels of the network's input. `cells` is
// [cell_count(height, width)][kFaceColumns]; a cell that holds what is no finite number is no face, nor is one whose
// box does not touch the image, or has more than twice its longer side.
std::vector<float> faces_in(const float* cells, int64_t height, int64_t width, double score, double overlap);

}  // namespace fer_fast
