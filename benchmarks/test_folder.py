"""End to end, by fer_fast and by plain scripts."""

STAGES = ("folder",)


def test_folder(case, timed):
    timed(case)
