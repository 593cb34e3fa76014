"""End to end, by fer_fast and by plain scripts."""

STAGE = "folder"


def test_folder(case, timed):
    timed(case)
