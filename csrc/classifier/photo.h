// A photo comes in; what a finder sees of it, and a classifier of its faces, goes out.
#pragma once

#include "fer_fast/faces.h"
#include "framing.h"

namespace fer_fast {

struct Workspace;

// A photo whose longer side is less, in pixels, is enlarged for the finder, which overlooks faces that fill it.
constexpr int64_t kLeastSeen = 128;

// The sizes of a photo as the finder sees it, on black that makes its sides whole steps.
struct Seen {
  int64_t width, height;        // of the photo in it, at the left upper corner
  int64_t canvas_width, canvas_height;

  int64_t bytes() const { return canvas_width * canvas_height * 3; }
};

// The photo's longer side becomes `longest` at most, and at least kLeastSeen if `longest` is. The view has been checked.
Seen seen_of(const ImageView& photo, int64_t longest, int64_t step);

// Writes [canvas_height][canvas_width][3], RGB.
void see(const ImageView& photo, const Seen& seen, uint8_t* out, Workspace& space);

// Where a face is to be cut from its photo.
struct Cut {
  const ImageView* photo;
  double matrix[6];
};

// `find_size` is the `longest` by which the photo was seen; `side` the crop's, 1 to kMaxCropSide.
Cut cut_of(const ImageView& photo, const Face& face, Framing framing, int64_t side, int64_t find_size);

// The box's square. Throws Error if it is no box, or is too far away; `index` is its place in the call, for the message.
Cut cut_of(const ImageView& frame, const Box& box, std::size_t index, int64_t side);

// Writes [count][side][side][3], RGB.
void cut_faces(const Cut* cuts, int64_t count, int64_t side, uint8_t* out, Workspace& space);

}  // namespace fer_fast
