"""The `fer` package with its own face detector: paths come in, faces go out (see `program.py`)."""

from __future__ import annotations

import program


def load() -> program.PhotoProgram:
    """With every default but the detector, which is the argument: haar, its default, or mtcnn."""
    import sys

    detector = sys.argv[1]
    if detector == "mtcnn":
        import facenet_pytorch  # noqa: F401  (before TensorFlow: torchvision crashes after it)
    import cv2
    from fer.fer import FER

    recogniser = FER(mtcnn=detector == "mtcnn")

    def classify(paths: list[str]) -> list[list[program.Face]]:
        return [faces_of(cv2.imread(path)) for path in paths]

    def faces_of(photo: cv2.typing.MatLike) -> list[program.Face]:
        found = recogniser.detect_emotions(photo)
        return [(*face["box"], max(face["emotions"], key=face["emotions"].get)) for face in found]

    how = f"FER.detect_emotions, its {detector} detector on the whole photo, TFLite, one photo at a time"
    packages = ("fer", "tensorflow", "tensorflow-cpu", "opencv-python-headless", "facenet-pytorch", "torch")
    return program.PhotoProgram(how, packages, classify)


if __name__ == "__main__":
    program.main(load)
