"""docs/models.md: accuracy against speed comes in, its table goes out."""

from __future__ import annotations

from pages.shared import RESULTS, busy, load, machine, table, unmeasured


def frontier() -> str:
    """A row a model, the fastest first."""
    if not (RESULTS / "frontier.json").exists():
        return unmeasured("benchmarks/frontier.py MODELS --data FERPLUS")
    record = load("frontier")
    models, speed, about = record["models"], record["speed"], record["environment"]
    rows = [
        [
            f"`{name}`",
            f"{models[name]['image_size']} px",
            str(models[name]["views"]),
            *(f"{100 * models[name][kind]:.2f}" for kind in ("clean", "hard")),
            speed[name]["precision"],
            f"{speed[name]['ratio']:.2f}",
        ]
        for name in sorted(models, key=lambda name: -speed[name]["ratio"])
    ]
    header = ["model", "input", "views", "as they are, %", "hard views, %", "precision"]
    loads = [about[when][0] for when in ("load_average", "load_average_after")]
    images = f"{next(iter(models.values()))['images']:,} validation images, `argmax10`"
    written = table([*header, f"speed, `{record['beside']}` is 1"], rows)
    return f"{written}\n\n{images}; speed by OpenVINO on {machine(about)}{busy(about, *loads)}"


TABLES = {"frontier": frontier}
