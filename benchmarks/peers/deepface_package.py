"""DeepFace's emotion model, no face detector: paths come in, scores go out (see `program.py`)."""

from __future__ import annotations

from pathlib import Path

import program

BATCH = 64
#: In the order of its EMOTION_LABELS: angry, disgust, fear, happy, sad, surprise, neutral.
CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
#: The weights are a file of their own for each backend.
SUFFIXES = {"tensorflow": "h5", "pytorch": "pth", "onnx": "onnx"}
PACKAGES = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "pytorch": ("torch",), "onnx": ("onnxruntime",)}


def load() -> program.Program:
    """Its client of the model, which takes batches; `DeepFace.analyze` takes one image at a time."""
    import cv2
    import numpy as np
    from deepface import DeepFace
    from deepface.commons import backend_utils, folder_utils
    from deepface.modules import preprocessing

    backend = backend_utils.get_backend_engine()
    weights = Path(folder_utils.get_deepface_home()) / ".deepface" / "weights"
    program.need_weights(weights, f"facial_expression_model_weights.{SUFFIXES[backend]}")
    model = DeepFace.build_model("Emotion", task="facial_attribute")

    def classify(paths: list[str]) -> list[np.ndarray]:
        return [row for batch in program.batches(paths, BATCH) for row in scores_of(batch)]

    def scores_of(paths: list[str]) -> np.ndarray:
        # `analyze` does the same to the face that its detector found.
        faces = [preprocessing.resize_image(cv2.imread(path), (224, 224))[0] for path in paths]
        return np.reshape(model.predict(faces), (len(paths), len(CLASSES)))  # it drops the axis of a single image

    how = f"its Emotion model on {backend}, batches of {BATCH}, BGR at 224 px, then grey at 48 px"
    return program.Program(how, ("deepface", *PACKAGES[backend]), CLASSES, classify)


if __name__ == "__main__":
    program.main(load)
