"""The whole model in each form, one call at a time."""

STAGES = ("model",)


def test_model(case, timed):
    timed(case)
