// An image of any size comes in, RGB pixels of a smaller one go out, several times sooner than a resize makes them.
#pragma once

#include "fer_fast/image.h"

namespace fer_fast {

struct Workspace;

// As resize_to, bit for bit as fer_fast/decode/pixels.py reduces: blocks of whole pixels become their means, as
// Pillow's reduce makes them, and what is left is resized.
void reduce_to(const ImageView& image, int64_t width, int64_t height, uint8_t* out, int64_t stride, Workspace& space);

}  // namespace fer_fast
