"""What an install weighs, and how soon it answers: a wheel comes in, benchmarks/results/install.json goes out.

    python benchmarks/install.py [--wheel FILE] [--extras none torch ...] [--json benchmarks/results/install.json]

Without --wheel it is built from this checkout, which takes a C++17 compiler. Each install is a fresh environment of
this interpreter in a temporary folder. Its processes start one after the other, all files in the system's memory by
then: warm is with the model compiled, cold with an empty folder of compiled models. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.images import make_faces
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.machine.extras import EXTRAS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results" / "install.json"
#: `none` is the package without extras. cuda and cuda12 weigh what the index offers for a machine with a card.
INSTALLS = ("none", "heif", "video", "plots", "parquet", "torch", "train")
PHOTO = ROOT / "docs" / "images" / "astronaut.jpg"
FACES = 64
#: Seconds after which a process counts as stuck.
PATIENCE = 120

#: Prints the first answer, and then what the process holds.
WORKER = """
import pathlib, re, sys
import fer_fast
with fer_fast.Classifier("fast") as classifier:
    print(classifier.predict([sys.argv[1]])[0].label, flush=True)
    print(*re.findall(r"Vm(?:RSS|HWM):\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text()), flush=True)
"""
#: Name, version and bytes of what is installed.
PACKAGES = """
import importlib.metadata, json
def size(found):
    paths = (path.locate() for path in found.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())
print(json.dumps([[each.name, each.version, size(each)] for each in importlib.metadata.distributions()]))
"""


def settings() -> dict[str, str]:
    """This process' environment, but for what it says to Python and of compiled models."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FER_FAST"))}


def said(*command: str | Path) -> str:
    """What a command prints.

    Raises:
        SystemExit: it fails; its own words stand above.
    """
    done = subprocess.run([str(part) for part in command], env=settings(), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with status {done.returncode}")
    return done.stdout


def built_wheel(folder: Path) -> Path:
    """The package as a wheel for this interpreter."""
    said(sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("fer_fast-*.whl")
    return wheel


def megabytes(folder: Path) -> float:
    """On disk."""
    return int(said("du", "-sk", folder).split()[0]) * 1024 / 1e6


class Install:
    """An environment with the wheel and one extra.

    Args:
        folder: where it is made.
        wheel: the package.
        extra: see `INSTALLS`.
        pins: requirements that pip is told besides, as which torch.
    """

    def __init__(self, folder: Path, wheel: Path, extra: str, pins: list[str]) -> None:
        said(sys.executable, "-m", "venv", folder)
        self.folder, self.python, self.command = folder, folder / "bin" / "python", folder / "bin" / "fer-fast"
        self.pip_megabytes = megabytes(folder)
        wanted = f"{wheel}[{extra}]" if extra != "none" else str(wheel)
        pip = (self.python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(pins))
        said(*pip, "--constraint", constraints, wanted)
        self.megabytes = megabytes(folder) - self.pip_megabytes
        self.packages = {
            name: {"version": version, "megabytes": size / 1e6}
            for name, version, size in json.loads(said(self.python, "-c", PACKAGES))
        }

    def seconds(self, command: list[str | Path], lines: int, cache: Path) -> tuple[float, list[str]]:
        """Until a command has printed so many lines; 0 is until it ends. And the lines.

        Raises:
            SystemExit: it ends before, or fails.
        """
        changed = settings() | {"FER_FAST_CACHE": str(cache)}
        words = [str(word) for word in command]
        with tempfile.TemporaryFile() as told:
            begun = time.perf_counter()
            with subprocess.Popen(
                words, env=changed, cwd=self.folder, stdout=subprocess.PIPE, stderr=told, text=True
            ) as process:
                assert process.stdout is not None
                patience = threading.Timer(PATIENCE, process.kill)
                patience.start()
                found = [process.stdout.readline() for _ in range(lines)]
                answered = time.perf_counter()
                found += process.stdout.readlines()
                process.wait()
                ended = time.perf_counter()
                patience.cancel()
            told.seek(0)
            if process.returncode or len(found) < lines or "" in found[:lines]:
                errors = told.read().decode(errors="replace")[-400:]
                raise SystemExit(f"{' '.join(words)} ended with status {process.returncode}: {errors}")
        return (answered if lines else ended) - begun, found


def starts(install: Install, faces: Path) -> dict[str, tuple[list[str | Path], int, bool]]:
    """What is started: the command, the lines to wait for, and whether compiled models matter to it."""
    classify: list[str | Path] = [install.command, "classify"]
    return {
        "a face": ([*classify, faces / "face000000.png"], 2, True),
        f"a folder of {FACES} faces": ([*classify, faces], 2, True),
        "the faces of a photo": ([*classify, PHOTO, "--faces", "all"], 2, True),
        "Classifier.predict of a face": ([install.python, "-c", WORKER, faces / "face000000.png"], 1, True),
        "fer-fast doctor": ([install.command, "doctor"], 0, False),
        "fer-fast --help": ([install.command, "--help"], 0, False),
        "import fer_fast": ([install.python, "-c", "import fer_fast"], 0, False),
        "python alone": ([install.python, "-c", "pass"], 0, False),
    }


def measured(install: Install, faces: Path, runs: int, cold_runs: int) -> Iterator[dict[str, Any]]:
    """A row for each start, warm and where it makes a difference cold; the first run of each is not counted."""
    warm = install.folder / "warm"
    for name, (command, lines, compiles) in starts(install, faces).items():
        install.seconds(command, lines, warm)
        found = [install.seconds(command, lines, warm) for _ in range(runs)]
        yield row(name, "warm", [seconds for seconds, _ in found]) | memory(name, found[-1][1])
        if compiles:
            cold = []
            for number in range(cold_runs):
                cache = install.folder / f"cold-{number}"
                cold.append(install.seconds(command, lines, cache)[0])
                shutil.rmtree(cache)
            yield row(name, "cold", cold)


def row(name: str, cache: str, seconds: list[float]) -> dict[str, Any]:
    """One start, from its seconds."""
    return {"start": name, "cache": cache, "median": statistics.median(seconds), "seconds": sorted(seconds)}


def memory(name: str, lines: list[str]) -> dict[str, Any]:
    """MiB that a worker holds after its first answer, and held at most."""
    if not name.startswith("Classifier"):
        return {}
    most, now = (int(each) / 1024 for each in lines[1].split())
    return {"resident_mib": now, "peak_mib": most}


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--wheel", type=Path, metavar="FILE", help="the package; without it it is built")
    add("--extras", nargs="+", default=list(INSTALLS), choices=("none", *EXTRAS), help="what to install")
    add("--pin", action="append", default=[], metavar="REQUIREMENT", help="for pip, such as torch==2.13.0")
    add("--runs", type=int, default=9, help="processes of each start, warm (default: %(default)s)")
    add("--cold-runs", type=int, default=5, help="the same cold (default: %(default)s)")
    add("--json", type=Path, default=RESULTS, help="where the result goes (default: %(default)s)")
    options = parser.parse_args()
    target = check_place(str(options.json))
    record: dict[str, Any] = {"environment": environment(), "pins": options.pin, "installs": {}}
    with tempfile.TemporaryDirectory(prefix="fer-fast-") as name:
        work = Path(name)
        wheel = options.wheel.resolve() if options.wheel else built_wheel(work)
        record["wheel"] = {"name": wheel.name, "megabytes": wheel.stat().st_size / 1e6}
        make_faces(work / "faces", FACES)
        for extra in options.extras:
            install = Install(work / extra, wheel, extra, options.pin)
            rows = []
            for each in measured(install, work / "faces", options.runs, options.cold_runs):
                rows.append(each)
                print(f"{extra}: {each['start']}, {each['cache']}: {each['median']:.3f} s", flush=True)
            record["installs"][extra] = {
                "megabytes": install.megabytes,
                "pip_megabytes": install.pip_megabytes,
                "packages": install.packages,
                "load_average": load_average(),
                "rows": rows,
            }
            shutil.rmtree(install.folder)
    write_whole(target, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
