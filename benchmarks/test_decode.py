"""Decoding by itself, each folder by the decoder and by plain Pillow."""

STAGES = ("decode",)


def test_decode(case, timed):
    timed(case)
