"""Image files come in, a table or rows go out; finding, decoding, classifying and writing overlap."""

from fer_fast.pipeline.run import classify_folder, classify_rows

__all__ = ["classify_folder", "classify_rows"]
