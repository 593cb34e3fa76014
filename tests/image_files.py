"""Image files of every kind, drawn: a name comes in, the bytes of a file go out."""

import io

import numpy as np
from PIL import Image


def face(height=40, width=32, seed=1):
    """Blocks and noise: an image whose rows, columns and channels all differ."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 255, (height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    return Image.fromarray(np.clip(blocks + rng.normal(0, 9, (height, width, 3)), 0, 255).astype(np.uint8))


def oriented(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


FACE = face()
GREY16 = Image.fromarray(np.asarray(FACE)[..., 0].astype(np.uint16) << 8)
FILES = {
    "jpeg": (FACE, "JPEG", {}),
    "jpeg-progressive-turned": (FACE, "JPEG", {"progressive": True, "exif": oriented(6)}),
    "jpeg-grey": (FACE.convert("L"), "JPEG", {}),
    "jpeg-cmyk": (FACE.convert("CMYK"), "JPEG", {}),
    "png": (FACE, "PNG", {}),
    "png-palette": (FACE.quantize(16), "PNG", {"transparency": bytes([0, 128, 255])}),
    "png-one-bit": (FACE.convert("1"), "PNG", {}),
    "png-grey-alpha": (FACE.convert("LA"), "PNG", {}),
    "png-16-bit": (GREY16, "PNG", {}),
    "webp": (FACE, "WEBP", {}),
    "webp-lossless-alpha": (FACE.convert("RGBA"), "WEBP", {"lossless": True, "exif": oriented(8)}),
    "bmp": (FACE, "BMP", {}),
    "bmp-grey": (FACE.convert("L"), "BMP", {}),
    "tiff": (FACE, "TIFF", {}),
    "tiff-lzw": (FACE, "TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate-turned": (FACE, "TIFF", {"compression": "tiff_adobe_deflate", "exif": oriented(6)}),
    "gif": (FACE.quantize(64), "GIF", {}),
}


def without_codes():
    """A JPEG whose header is in order but for a table of codes that cannot be: only who decodes it sees that."""
    content = bytearray(encoded("jpeg"))
    content[content.index(b"\xff\xc4") + 6] = 255
    return bytes(content)


def encoded(name):
    image, kind, options = FILES[name]
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
