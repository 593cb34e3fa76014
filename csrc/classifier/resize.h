// An image of any size comes in, the model's square of RGB pixels goes out, bit for bit as Pillow's bilinear resize.
#pragma once

#include "fer_fast/classifier.h"

namespace fer_fast {

// Throws Error if the view breaks a rule of ImageView; `index` is its place in the call, for the message.
void check_image(const ImageView& image, std::size_t index);

// Writes side x side x 3 bytes. The view has been checked.
void resize_to_square(const ImageView& image, int64_t side, uint8_t* out);

}  // namespace fer_fast
