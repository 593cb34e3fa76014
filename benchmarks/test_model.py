"""The whole model in each form, one call at a time."""

STAGE = "model"


def test_model(case, timed):
    timed(case)
