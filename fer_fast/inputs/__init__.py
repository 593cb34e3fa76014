"""What people name comes in, the image files that it means go out."""

from fer_fast.inputs.files import HIDDEN, IMAGE_SUFFIXES, ImageFiles, absolute, is_hidden, key_of

__all__ = ["HIDDEN", "IMAGE_SUFFIXES", "ImageFiles", "absolute", "is_hidden", "key_of"]
