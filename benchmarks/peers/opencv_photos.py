"""OpenCV's FaceDetectorYN and a call of fer_fast for each face: paths come in, faces go out (see `program.py`)."""

from __future__ import annotations

import program

FIND_SIZE = 640


def load() -> program.PhotoProgram:
    """The packaged finder's weights in OpenCV, so that both find the same faces, and `fast` on one crop at a time."""
    import cv2
    import numpy as np

    import fer_fast
    from fer_fast.bench.opencv import opencv_finder
    from fer_fast.models.files.checkpoint import read_finder

    classifier, find_in = fer_fast.Classifier(), opencv_finder(read_finder("finder"), 0.6)

    def classify(paths: list[str]) -> list[list[program.Face]]:
        return [faces_of(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)) for path in paths]

    def faces_of(photo: np.ndarray) -> list[program.Face]:
        factor = min(1, FIND_SIZE / max(photo.shape[:2]))
        found = find_in(cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        return [(*box, label_of(photo, *box)) for box in (found[:, :4] / factor).tolist()]

    def label_of(photo: np.ndarray, x: float, y: float, width: float, height: float) -> str:
        side, middle = max(width, height), (x + width / 2, y + height / 2)
        crop = cv2.getRectSubPix(photo, (round(side), round(side)), middle)  # repeats the edges
        return str(classifier.predict([crop])[0].label)

    ran = classifier.describe()
    how = (
        f"imread, FaceDetectorYN with the same weights at {FIND_SIZE} px, then Classifier.predict of one crop at a "
        f"time, `{ran['model']}` {ran['precision']} ({ran['engine']})"
    )
    return program.PhotoProgram(how, ("opencv-python-headless", "fer_fast", "openvino"), classify)


if __name__ == "__main__":
    program.main(load)
