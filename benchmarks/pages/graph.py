"""OpenVINO's graphs, laid, traced and read from files: graph.json comes in, a table goes out."""

from __future__ import annotations

from pages.shared import busy, load, machine, table


def graph() -> str:
    """A row a model and precision: how fast laid and traced ones are, and what reading one from files would save."""
    record = load("graph")
    rows = []
    for row in record["rows"]:
        rates, shipped = row["images_per_second"], row["shipped"]
        speed = [f"{rates['laid']:,.0f}", f"{rates['traced']:,.0f}", f"{row['largest_difference']:.0e}"]
        built = [f"{1000 * shipped['seconds'][way]:,.0f}" for way in ("laid", "read")]
        answered = [f"{1000 * shipped['seconds_to_first_answer'][way]:,.0f}" for way in ("laid", "read")]
        name = f"{row['model']}, {row['precision']}"
        rows.append([name, *speed, *built, *answered, f"{shipped['megabytes']:.1f}"])
    header = [
        *("model", "laid, images/s", "traced, images/s", "difference"),
        *("laid in, ms", "read in, ms", "first answer, ms", "read from files, ms", "MB of files"),
    ]
    loads = [record["environment"][when][0] for when in ("load_average", "load_average_after")]
    return f"{table(header, rows)}\n\nMeasured on {machine(record['environment'])}{busy(record['environment'], *loads)}"


TABLES = {"graph": graph}
