// A file's path comes in, how its picture is to be turned goes out, and a picture that is turned so.
//
// The rule is that of fer_fast in Python and of Pillow: the first tag of orientation in EXIF counts, whatever number it
// is of, and where EXIF has none XMP. Of a PNG's text XMP alone is read, if it
// is not compressed.
#pragma once

#include <string>

#include "decode.h"

// 1 to 8 as EXIF counts, 1 is upright; 0 if the file is no JPEG, PNG or WebP.
int orientation_of(const std::string& path);

// The same picture, upright: of three bytes a pixel, without gaps between its rows.
Image upright(const Image& image, int orientation);
