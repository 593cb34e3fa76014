"""fer_fast itself, as its users get it: paths come in, probabilities go out (see `program.py`)."""

from __future__ import annotations

import program


def load() -> program.Program:
    """The packaged model that is the argument, with every default."""
    import sys

    import numpy as np

    import fer_fast

    classifier = fer_fast.Classifier(sys.argv[1])

    def classify(paths: list[str]) -> list[np.ndarray]:
        rows = list(fer_fast.classify_rows(paths, classifier))
        if bad := [row for row in rows if row.prediction is None]:
            raise ValueError(f"{bad[0].path}: {bad[0].error}")
        return [row.prediction.probabilities for row in rows if row.prediction is not None]

    ran = classifier.describe()
    how = (
        f"classify_rows, `{ran['model']}` {ran['precision']} ({ran['engine']}), batches of {ran['batch_size']}, "
        f"RGB at {ran['image_size']} px, {ran['workers']} decoding threads beside the model"
    )
    return program.Program(how, ("fer_fast", "openvino", "torch"), classifier.classes, classify)


if __name__ == "__main__":
    program.main(load)
