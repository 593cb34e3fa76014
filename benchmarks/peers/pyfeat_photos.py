"""Py-Feat with its default models: paths come in, faces go out (see `program.py`)."""

from __future__ import annotations

import os

import program


def load() -> program.PhotoProgram:
    """Its detector, one photo at a time; it would fetch the weights of its models when it is made."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the import that reads it
    from feat import Detectorv2
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        detector = Detectorv2(device="cpu")
    except (LocalEntryNotFoundError, OSError) as error:
        said = str(error).splitlines()[0][:80]
        raise program.CannotRunError(f"its weights are not there, and it would fetch them when run: {said}") from error

    def classify(paths: list[str]) -> list[list[program.Face]]:
        found = detector.detect(paths, data_type="image", batch_size=1)  # photos of one size alone would take more
        faces: dict[str, list[program.Face]] = {path: [] for path in paths}
        for _, row in found.dropna(subset=["FaceRectX"]).iterrows():
            box = (row["FaceRectX"], row["FaceRectY"], row["FaceRectWidth"], row["FaceRectHeight"])
            faces[row["input"]].append((*box, str(row[detector.info["emotion_model_columns"]].idxmax())))
        return list(faces.values())

    return program.PhotoProgram("Detectorv2.detect, a photo at a time", ("py-feat", "torch"), classify)


if __name__ == "__main__":
    program.main(load)
