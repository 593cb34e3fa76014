"""docs/cpp.md: rates, latencies and sizes of the C++ library come in, tables go out."""

from __future__ import annotations

from pages.shared import load, machine, table


def embedding() -> str:
    """C++ against Python's predict, and one face against bare OpenVINO."""
    record = load("embedding")
    rows = [
        [
            f"{row['precision']}, {row['width']} x {row['height']} px",
            f"{row['images_per_second']:,.0f}",
            f"{row['python_images_per_second']:,.0f}",
            f"{row['over_python']:.2f} x",
            f"{row['latency_ms']:.2f}",
            f"{row['bare_latency_ms']:.2f}",
            f"{row['latency_over_bare']:.3f} x",
        ]
        for row in record["rows"]
    ]
    header = ["", "C++, images/s", "Python `predict`", "ratio", "one face, ms (p50)", "bare OpenVINO", "ratio"]
    said = (
        "Images in memory, many a call; medians of rounds in turn. One face: `Goal::kLatency`, a call after the other, "
        f"the bare engine's in turn with it, on pixels of the model's own size. Model `{record['model']}`, on "
        f"{machine(record['environment'])}"
    )
    return f"{table(header, rows)}\n\n{said}"


def ship() -> str:
    """The files beside a program, and their sizes."""
    record = load("embedding")
    rows = [[f"`{name}`", f"{size / 1e6:.1f}"] for name, size in record["shipped"].items()]
    total = sum(record["shipped"].values())
    rows.append(["together", f"{total / 1e6:.1f}"])
    return f"{table(['beside the program', 'MB'], rows)}\n\nA program ran with these files and none of the rest."


TABLES = {"ship": ship, "embedding": embedding}
