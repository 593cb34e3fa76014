"""Photos and YuNet's ONNX file come in, the boxes that cv2.FaceDetectorYN finds go out as JSON on standard output.

    python benchmarks/peers/yunet_cv2.py MODEL.onnx LOWEST_SCORE < paths > boxes.json

A path a line comes in; of each path x, y, width, height and score of its faces go out. Needs opencv-python-headless.
"""

from __future__ import annotations

import json
import sys

import cv2


def main() -> None:
    """Finds faces with OpenCV's own settings, but for the lowest score."""
    model, lowest = sys.argv[1], float(sys.argv[2])
    finder = cv2.FaceDetectorYN.create(model, "", (320, 320), lowest, 0.3, 5000)
    found: dict[str, list[list[float]]] = {}
    for line in sys.stdin:
        image = cv2.imread(line.strip())
        finder.setInputSize(image.shape[1::-1])
        _, faces = finder.detect(image)
        rows = [] if faces is None else faces.tolist()
        found[line.strip()] = [[*row[:4], row[14]] for row in rows]
    json.dump({"version": cv2.__version__, "found": found}, sys.stdout)


if __name__ == "__main__":
    main()
