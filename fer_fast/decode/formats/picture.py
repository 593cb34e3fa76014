"""What every format gives: a picture whose header has been read, and whose pixels are still in its file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from fer_fast.decode.formats.exif import orientation_left

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from fer_fast.decode.pixels import Size


#: Bytes that Pillow keeps for a pixel of these modes; all others take four.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}


def stored_bytes(mode: str, size: tuple[int, int]) -> int:
    """Bytes that Pillow keeps an image of this mode in, loaded."""
    width, height = size
    row = (width * _STORED.get(mode, 4) + 3) // 4 * 4
    return height * (row + 8)  # a pointer to each row


class Picture(ABC):
    """One picture of a file: the only one, or the first frame of an animation.

    Attributes:
        size: width and height in pixels, as they are stored.
        mode: of its pixels in the file, in Pillow's words: L, RGB, CMYK and so on.
        orientation: how it is still to be turned, 1 to 8 as EXIF counts; 1 is upright.
        memory: bytes that decoding all of it takes at most, besides the file itself.
        is_slow: it may take seconds for each of its megapixels, by the way it is coded.
    """

    size: tuple[int, int]
    mode: str
    orientation: int = 1
    memory: int
    is_slow: bool = False

    def cost(self, least: Size) -> tuple[int, Size]:
        """Bytes that `load(least)` takes at most, besides the file itself, and the size of what it gives."""
        return self.memory, self.size

    def full_size(self, image: Image) -> Size:
        """Width and height of the whole picture, as they are stored, once `load` has given an image of it.

        A codec may find another size than the header's.
        """
        return image.size

    @abstractmethod
    def load(self, least: Size) -> Image:
        """Decodes it.

        Args:
            least: width and height, as they are stored, of which what is larger may come out smaller, but with no side
                below these.

        Returns:
            An image of any mode that `pixels.resized` takes, its pixels loaded.

        Raises:
            DecodeError: `CORRUPT`, `UNSUPPORTED` for what is valid and cannot be read here.
            Exception: whatever a codec raises on a broken file.
        """


class PillowPicture(Picture):
    """A picture that one of Pillow's plugins has opened.

    Args:
        image: unread.
        bytes_a_pixel: that decoding takes at most.
    """

    def __init__(self, image: ImageFile, bytes_a_pixel: int) -> None:
        self.image = image
        self.size = image.size
        self.mode = image.mode
        self.memory = bytes_a_pixel * image.size[0] * image.size[1]
        self.orientation = orientation_left(image)

    def load(self, least: Size) -> Image:
        """See `Picture.load`."""
        self.image.load()
        return self.image
