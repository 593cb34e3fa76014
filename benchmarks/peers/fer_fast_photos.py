"""fer_fast on photos, as its users get it: paths come in, the faces in them go out (see `program.py`)."""

from __future__ import annotations

import program


def load() -> program.PhotoProgram:
    """The packaged finder and `fast`, with every default."""
    import fer_fast

    classifier, finder = fer_fast.Classifier(), fer_fast.FaceFinder()

    def classify(paths: list[str]) -> list[list[program.Face]]:
        faces: dict[str, list[program.Face]] = {path: [] for path in paths}
        for row in fer_fast.classify_rows(paths, classifier, faces="all", finder=finder):
            if row.prediction is not None:
                faces[row.path].append((*row.cells[1:5], row.prediction.label))
            elif row.status is not fer_fast.Status.NO_FACE:
                raise ValueError(f"{row.path}: {row.error}")
        return list(faces.values())

    ran, found = classifier.describe(), finder.describe()
    how = (
        f"classify_rows with faces, finder {found['precision']} at {found['find_size']} px, `{ran['model']}` "
        f"{ran['precision']} ({ran['engine']}), batches of {ran['batch_size']} across photos"
    )
    return program.PhotoProgram(how, ("fer_fast", "openvino", "torch"), classify)


if __name__ == "__main__":
    program.main(load)
