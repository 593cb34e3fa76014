"""DeepFace with a face detector: paths come in, faces go out (see `program.py`)."""

from __future__ import annotations

from pathlib import Path

import program

#: Its default detector, which comes with OpenCV.
DETECTOR = "opencv"
#: The weights are a file of their own for each backend.
SUFFIXES = {"tensorflow": "h5", "pytorch": "pth", "onnx": "onnx"}


def load() -> program.PhotoProgram:
    """`DeepFace.analyze`, one photo at a time, which is what there is for photos with several faces."""
    from deepface import DeepFace
    from deepface.commons import backend_utils, folder_utils

    weights = Path(folder_utils.get_deepface_home()) / ".deepface" / "weights"
    program.need_weights(weights, f"facial_expression_model_weights.{SUFFIXES[backend_utils.get_backend_engine()]}")

    def classify(paths: list[str]) -> list[list[program.Face]]:
        return [faces_of(path) for path in paths]

    def faces_of(path: str) -> list[program.Face]:
        found = DeepFace.analyze(path, ["emotion"], detector_backend=DETECTOR, enforce_detection=False, silent=True)
        boxes = [(face["region"], face["dominant_emotion"]) for face in found if face["face_confidence"] > 0]
        return [(box["x"], box["y"], box["w"], box["h"], label) for box, label in boxes]

    how = f"DeepFace.analyze, emotion alone, its {DETECTOR} detector, one photo at a time"
    return program.PhotoProgram(how, ("deepface", "tensorflow", "torch", "onnxruntime"), classify)


if __name__ == "__main__":
    program.main(load)
