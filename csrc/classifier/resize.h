// An image of any size comes in, RGB pixels of the size that a model takes go out, bit for bit as Pillow's bilinear resize.
#pragma once

#include "fer_fast/image.h"

namespace fer_fast {

struct Workspace;

// Throws Error if the view breaks a rule of ImageView; `index` is its place in the call, for the message.
void check_image(const ImageView& image, std::size_t index);

// Throws Error if no memory holds so many views.
void check_count(std::size_t count);

// Writes `height` rows of `width` x 3 bytes, each `stride` bytes after the other. The view has been checked.
void resize_to(const ImageView& image, int64_t width, int64_t height, uint8_t* out, int64_t stride, Workspace& space);

// The same of the part of the image that begins at its left upper corner and has these sides, which need not be whole.
void resize_part_to(const ImageView& image, double across, double down, int64_t width, int64_t height, uint8_t* out,
                    int64_t stride, Workspace& space);

// Bytes of a pixel; 0 of a format that an RgbView makes others of.
int64_t bytes_a_pixel(PixelFormat format);

}  // namespace fer_fast
