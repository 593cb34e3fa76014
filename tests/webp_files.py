"""WebP files, chunk by chunk."""

import io


def saved(image, **options):
    stream = io.BytesIO()
    image.save(stream, "webp", **options)
    return stream.getvalue()


def chunk(kind, body, length=None):
    return kind + (len(body) if length is None else length).to_bytes(4, "little") + body + bytes(len(body) % 2)


def riff(*chunks, size=None):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + (len(body) if size is None else size).to_bytes(4, "little") + body


def extended(flags, width, height):
    return chunk(
        b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )


def chunks_of(content, start=12):
    """The kind and the body of each chunk."""
    found = []
    while start < len(content):
        end = start + 8 + int.from_bytes(content[start + 4 : start + 8], "little")
        found.append((content[start : start + 4], content[start + 8 : end]))
        start = end + (end - start) % 2
    return found


def coded(image, **options):
    """The chunk of pixels alone."""
    return next(chunk(kind, body) for kind, body in chunks_of(saved(image, **options)) if kind in (b"VP8 ", b"VP8L"))


def frame(picture, width, height, x=0, y=0, flags=0):
    """A frame of an animation, at even places."""
    numbers = (x // 2, y // 2, width - 1, height - 1, 100)
    return chunk(b"ANMF", b"".join(each.to_bytes(3, "little") for each in numbers) + bytes([flags]) + picture)
