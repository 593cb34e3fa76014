"""The figure of a photo's faces: any number of them, of any classes, and no text on another."""

import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fer_fast.reports.faces_figure import DOTS_PER_INCH, MOST, WIDTH, SeenFace, compose
from fer_fast.reports.marks import Mark
from fer_fast.types import EMOTIONS, Prediction

SURE = Prediction(EMOTIONS, np.eye(8, dtype=np.float32)[1])
ODD = Prediction(("W" * 40, "\u559c\u60a6", *map(str, range(58))), np.full(60, 1 / 60, np.float32))


def seen(number, prediction=SURE, label="happiness"):
    mark = Mark(10.0 + 30 * (number % 20), 10.0 + 40 * (number // 20), 20, 24, prediction, label)
    return SeenFace(mark, np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("size", "faces", "prediction", "label"),
    [
        ((640, 480), 1, SURE, "happiness"),
        ((200, 900), 4, SURE, ""),
        ((900, 60), 4, ODD, "W" * 40),
        ((640, 480), 30, ODD, "W" * 40),
    ],
)
def test_no_text_covers_another_or_leaves_the_figure(size, faces, prediction, label):
    photo = np.zeros((size[1], size[0], 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font has not
        figure = compose(photo, [seen(number, prediction, label) for number in range(faces)], "m" * 99)
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = [text for text in figure.texts if text.get_text()]
        boxes = np.array([text.get_window_extent(renderer).extents for text in texts])  # [texts, 4]
    size = WIDTH * DOTS_PER_INCH, figure.get_figheight() * DOTS_PER_INCH
    assert (boxes >= 0).all() and (boxes <= (*size, *size)).all()
    starts, ends = np.maximum(boxes[:, None, :2], boxes[:, :2]), np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    cover = np.triu((starts < ends).all(axis=2), 1)
    assert [(texts[one].get_text(), texts[other].get_text()) for one, other in np.argwhere(cover)] == []
    bars = [axes.get_window_extent().x1 for axes in figure.axes if not axes.axison]
    percents = [start for start, text in zip(boxes[:, 0], texts, strict=True) if text.get_text() == "100 %"]
    assert len(percents) == (min(faces, MOST) if prediction is SURE else 0)
    assert all(min(abs(start - end) for end in bars) > 3 for start in percents)
    assert sum(text.get_text().isdigit() for text in texts) >= min(faces, MOST)


def test_a_photo_without_faces_is_shown_alone():
    figure = compose(np.zeros((300, 400, 3), np.uint8), [], "fast")
    assert [text.get_text() for text in figure.texts] == ["0 faces; model fast, calibrated probabilities"]
    assert len(figure.axes) == 1
