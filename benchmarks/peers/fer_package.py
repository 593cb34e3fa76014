"""The mini-XCEPTION of the `fer` package, no face detector: paths come in, scores go out (see `program.py`)."""

from __future__ import annotations

import program

#: Its label -> FERPlus' name, in the order of its scores.
CLASSES = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}


def load() -> program.Program:
    """Its quantised TFLite model, the default; the Keras model in batches, past the API, is no faster."""
    import cv2
    from fer.fer import FER

    # By default it widens a detected box by 10 pixels: here the image is the face, and all of it.
    recogniser = FER(offsets=(0, 0))

    def classify(paths: list[str]) -> list[list[float]]:
        return [scores_of(cv2.imread(path)) for path in paths]

    def scores_of(image: cv2.typing.MatLike) -> list[float]:
        height, width = image.shape[:2]
        (face,) = recogniser.detect_emotions(image, face_rectangles=[(0, 0, width, height)])
        return [face["emotions"][label] for label in CLASSES]

    how = "FER.detect_emotions with the whole image as the face, TFLite, one image at a time on one core, grey at 64 px"
    return program.Program(how, ("fer", "tensorflow", "tensorflow-cpu"), list(CLASSES.values()), classify)


if __name__ == "__main__":
    program.main(load)
