"""EmotiEffLib's default model under ONNX Runtime: paths come in, scores go out (see `program.py`)."""

from __future__ import annotations

from pathlib import Path

import program

BATCH = 32
MODEL = "enet_b0_8_best_vgaf"


def load() -> program.Program:
    """The recogniser on whole images: it expects faces and has no detector."""
    import cv2
    import numpy as np
    from emotiefflib.facial_analysis import EmotiEffLibRecognizer

    program.need_weights(Path.home() / ".emotiefflib", f"{MODEL}.onnx")
    recogniser = EmotiEffLibRecognizer(engine="onnx", model_name=MODEL)

    def classify(paths: list[str]) -> list[np.ndarray]:
        return [row for batch in program.batches(paths, BATCH) for row in scores_of(batch)]

    def scores_of(paths: list[str]) -> np.ndarray:
        images = [cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in paths]
        _, scores = recogniser.predict_emotions(images, logits=False)
        return scores

    labels = recogniser.idx_to_emotion_class
    how = f"`{MODEL}` (ONNX Runtime), batches of {BATCH}, RGB at {recogniser.img_size} px"
    classes = [labels[number].lower() for number in range(len(labels))]
    return program.Program(how, ("emotiefflib", "onnxruntime"), classes, classify)


if __name__ == "__main__":
    program.main(load)
