"""docs/films.md: how quickly films are classified comes in, its table goes out."""

from __future__ import annotations

from pages.shared import RESULTS, load, machine, table, unmeasured


def films() -> str:
    """Every way through the film."""
    if not (RESULTS / "films.json").exists():
        return unmeasured("benchmarks/films.py")
    found = load("films")
    ours = found["runs"]["classify_video"]["frames_per_second"]
    rows = [
        [name, f"{run['frames_per_second']:.1f}", f"{ours / run['frames_per_second']:.1f} x"]
        for name, run in found["runs"].items()
    ]
    film = found["film"]
    about = f"{film['size'][0]} x {film['size'][1]}, {film['faces']} faces, every frame"
    room = (
        f"The stages' own work, one after the other, would leave room for {found['room']:.1f} frames/s: "
        f"classify_video reaches {ours / found['room']:.2f} of it."
    )
    return f"{table([about, 'frames/s', 'classify_video is'], rows)}\n\n{room} On {machine(found['environment'])}"


def find_every() -> str:
    """What is found, and in how many frames the finder looked, by scene."""
    if not (RESULTS / "find_every.json").exists():
        return unmeasured("benchmarks/find_every.py")
    found = load("find_every")
    rows = [
        [
            run["scene"],
            str(run["find_every"]),
            f"{100 * run['looks'] / run['frames']:.0f}%",
            f"{100 * run['found'] / run['faces']:.1f}%",
            f"{run['mean_overlap']:.2f}",
            str(run["elsewhere"]),
        ]
        for run in found["runs"]
    ]
    header = ["faces", "N", "frames that the finder saw", "faces told", "mean overlap", "boxes elsewhere"]
    film = found["films"]
    about = (
        f"Counts, of drawn faces in {film['frames']} frames of {film['size'][0]} x {film['size'][1]}, {film['rate']} a "
        "second. A face is told where a box and it have half in common of what they cover together; "
        "`python benchmarks/find_every.py` measures it."
    )
    return f"{table(header, rows)}\n\n{about}"


def unsure() -> str:
    """What has a track, by scene and least score."""
    if not (RESULTS / "unsure.json").exists():
        return unmeasured("benchmarks/unsure.py")
    found = load("unsure")
    rows = [
        [
            run["scene"],
            f"{run['score']:g}",
            f"{100 * run['tracked'] / run['faces']:.1f}%",
            str(run["tracks"]),
            str(run["elsewhere"]),
            str(run["without_track"]),
        ]
        for run in found["runs"]
    ]
    header = ["faces", "least score", "have a track", "tracks", "boxes elsewhere", "without a track"]
    film = found["films"]
    about = (
        f"Counts, of {film['heads']} drawn faces in {film['frames']} frames, once in two seconds at their worst; "
        "`python benchmarks/unsure.py` measures it."
    )
    return f"{table(header, rows)}\n\n{about}"


def film_memory() -> str:
    """Peak memory of the command by the length of the film."""
    if (study := load("growth").get("film_memory")) is None:
        return unmeasured("benchmarks/growth.py --studies film_memory")
    rows = [[f"{entry['minutes']:,}", f"{entry['peak_mib']:.0f}"] for entry in study["found"]]
    return table(["minutes of film", "peak resident memory, MiB"], rows)


TABLES = {"films": films, "film_memory": film_memory, "find_every": find_every, "unsure": unsure}
