"""Measures how cost grows: sizes of files, models, batches, folders and machines come in, growth.json goes out.

python benchmarks/growth.py
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from fer_fast.bench.case import Case
from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.forms import Graphs
from fer_fast.bench.images import make_faces, make_photos
from fer_fast.bench.material import Material
from fer_fast.bench.measure import measure
from fer_fast.bench.portraits import make_photos_with_faces, photo_with_faces
from fer_fast.bench.report import row_of
from fer_fast.bench.stages import decode, folder, model
from fer_fast.models.files.storage import save_model
from fer_fast.models.fusion.config import PRESETS
from fer_fast.models.fusion.network import FusionModel

RESULTS = Path(__file__).parent / "results"
PHOTO_SIDES = ((160, 120), (320, 240), (640, 480), (1280, 960), (2560, 1920), (4032, 3024))
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
FOLDERS = (32, 128, 512, 2048, 8192)
MEMORY_FOLDERS = (500, 5_000, 50_000)
#: Smaller than a camera's: fifty thousand of them take minutes.
MEMORY_PHOTO = (640, 480)
MEMORY_FILMS = (1, 10, 180)  # minutes
FILM_SIZE, FILM_RATE = (320, 240), 25
BURST = 0.3


def photo_cases(work: Path) -> Iterator[tuple[Any, Case]]:
    """Decoding and end to end by the size of the photo."""
    sides = {f"{width} x {height}": (width, height) for width, height in PHOTO_SIDES}
    folders = {name: make_photos(work / name.replace(" ", ""), 64, size=side, scenes=4) for name, side in sides.items()}
    material = Material("fast", folders, work)
    runs = folder.Runs(material)
    for name, paths in folders.items():
        kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1000
        where = {"photo": name, "kilobytes": round(kilobytes, 1)}
        yield where, decode.decoder_case(material, name)
        yield where, folder.chosen_case(material, name, runs)


def model_cases(work: Path) -> Iterator[tuple[Any, Case]]:
    """The model by its image; the weights are random, which changes no speed."""
    faces = {"faces": make_faces(work / "model_faces", 64)}
    for name, config in PRESETS.items():
        checkpoint = work / f"{name}.safetensors"
        save_model(FusionModel(config).eval(), checkpoint)
        material = Material(checkpoint, faces, work)
        for case in model.our_cases(material, Graphs(material), "cpu"):
            if case.key.engine == "openvino" and case.key.precision != "int8":
                yield {"preset": name, "pixels": config.image_size, "tokens": config.grid**2}, case


def batch_cases(work: Path) -> Iterator[tuple[Any, Case]]:
    """The packaged model by the images of a call."""
    material = Material("fast", {"faces": make_faces(work / "batch_faces", 128)}, work)
    for batch in BATCHES:
        for case in model.cases(material, Graphs(material), "cpu", batch):
            if case.key.form == model.ENGINES_FORM and (case.key.engine, case.key.precision) == material.chosen["cpu"]:
                yield {"batch": batch}, case


def folder_cases(work: Path) -> Iterator[tuple[Any, Case]]:
    """End to end by the number of files."""
    folders = {str(count): make_faces(work / f"{count}_faces", count) for count in FOLDERS}
    material = Material("fast", folders, work)
    runs = folder.Runs(material)
    for count in FOLDERS:
        yield {"files": count}, folder.chosen_case(material, str(count), runs)


def by_cores(_: Path) -> list[dict[str, Any]]:
    """The stages on 1, 2, 4, ... of the cores that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count < len(allowed)] + [len(allowed)]
    found = []
    for count in counts:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [
                sys.executable,
                "-m",
                "fer_fast.bench",
                "--stages",
                "decode,folder",
                "--engines",
                "openvino,torch",
            ]
            os.sched_setaffinity(0, allowed[:count])  # the child inherits it
            try:
                subprocess.run([*command, "--json", file.name], check=True, stdout=subprocess.DEVNULL)
            finally:
                os.sched_setaffinity(0, allowed)
            found.append({"cores": count, "rows": json.loads(Path(file.name).read_text())["rows"]})
    return found


def peak_memory(images: Path, work: Path, *options: str) -> float:
    """Peak resident memory of the command over a folder, MiB."""
    # Not getrusage: its peak starts at that of the process that started this one, which is larger.
    code = (
        "import pathlib, sys; from fer_fast.cli import run; status = run(sys.argv[1:]);"
        "print(status, pathlib.Path('/proc/self/status').read_text())"
    )
    command = [sys.executable, "-c", code, "classify", str(images), "-o", str(work / "m.csv"), "--quiet", *options]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if not printed.startswith("0 "):
        raise SystemExit(f"the command ended with status {printed.split()[0]}")
    return round(int(re.findall(r"VmHWM:\s+(\d+)", printed)[0]) / 1024, 1)


def memory(work: Path) -> list[dict[str, float]]:
    """Peak memory by the number of files."""
    return list(_peaks(make_faces(work / "linked", 100), work))


def photo_memory(work: Path) -> list[dict[str, float]]:
    """The same of photos with faces."""
    return list(
        _peaks(make_photos_with_faces(work / "linked", 10, size=MEMORY_PHOTO, scenes=10), work, "--faces", "all")
    )


def film_memory(work: Path) -> list[dict[str, float]]:
    """Peak memory by the length of a film with a face, of which a frame a second is looked at."""
    minute = work / "minute.mp4"
    save_minute(minute)
    found = []
    for minutes in MEMORY_FILMS:
        film = work / f"film{minutes}.mp4"
        repeat(minute, film, minutes)
        found.append({"minutes": minutes, "peak_mib": peak_memory(film, work, "--every", "1s")})
    return found


def save_minute(path: Path) -> None:
    """A film of a drawn head that moves, a minute long."""
    photo, _ = photo_with_faces(np.random.default_rng(1), FILM_SIZE, faces=1)
    picture = np.asarray(photo.convert("RGB"))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FILM_RATE)
        stream.width, stream.height = FILM_SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(60 * FILM_RATE):
            moved = np.roll(picture, number % 32, axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        out.mux(stream.encode())


def repeat(film: Path, longer: Path, times: int) -> None:
    """The same frames so many times over, as they are encoded."""
    with av.open(str(longer), "w") as out:
        stream = None
        for turn in range(times):
            with av.open(str(film)) as opened:
                stream = stream or out.add_stream_from_template(opened.streams.video[0])
                for packet in opened.demux(opened.streams.video[0]):
                    if packet.dts is None:
                        continue
                    packet.pts += turn * opened.streams.video[0].duration
                    packet.dts += turn * opened.streams.video[0].duration
                    packet.stream = stream
                    out.mux(packet)


def _peaks(files: Sequence[Path], work: Path, *options: str) -> Iterator[dict[str, float]]:
    """Folders of links to the same files."""
    for count in MEMORY_FOLDERS:
        many = work / f"many{count}"
        many.mkdir()
        for number in range(count):
            os.link(files[number % len(files)], many / f"{number:06d}{files[0].suffix}")
        yield {"files": count, "peak_mib": peak_memory(many, work, *options)}


def measured(cases: Iterator[tuple[Any, Case]], seconds: float) -> list[dict[str, Any]]:
    """Rows of cases taken in turn, each with what it is a size of."""
    pairs = list(cases)
    results = measure([case for _, case in pairs], seconds, BURST)
    rows = [row_of(each, []) for each in results]
    for row in rows:
        if row["state"] != "ok":
            raise SystemExit(f"{row['form']}: {row['reason']}")
    return [{"of": where, "row": row} for (where, _), row in zip(pairs, rows, strict=True)]


def main() -> None:
    """Measures and writes the JSON."""
    in_turn = {"photo": photo_cases, "model": model_cases, "batch": batch_cases, "folder": folder_cases}
    others = {"memory": memory, "photo_memory": photo_memory, "film_memory": film_memory, "cores": by_cores}
    studies = (*in_turn, *others)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for each study whose rows are timed in turn")
    parser.add_argument("--studies", nargs="+", choices=studies, default=studies, help="the others stay as they are")
    parser.add_argument("--out", type=Path, default=RESULTS / "growth.json")
    options = parser.parse_args()
    result: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    for study in options.studies:
        before = environment()
        with tempfile.TemporaryDirectory(prefix="fer-fast-") as name:
            work = Path(name)
            found = measured(in_turn[study](work), options.seconds) if study in in_turn else others[study](work)
        result[study] = {"environment": before | {"load_average_after": load_average()}, "found": found}
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
