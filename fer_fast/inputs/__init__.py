"""What people name comes in, the image files that it means go out."""

from fer_fast.inputs.files import IMAGE_SUFFIXES, ImageFiles, absolute

__all__ = ["IMAGE_SUFFIXES", "ImageFiles", "absolute"]
