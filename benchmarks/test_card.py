"""The parts of a model on a card, by the card's own events; nothing where there is no card."""

STAGES = ("backbone", "tokens", "vit")
DEVICE = "cuda"


def test_part(case, timed):
    timed(case)
