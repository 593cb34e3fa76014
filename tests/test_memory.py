"""Ever more files come in; the peak of resident memory must not follow them."""

import os
import subprocess
import sys

import pytest
from command_runs import ENVIRONMENT
from shades import save_shade

CODE = """
import pathlib, re, sys
from shades import ShadeClassifier
from fer_fast import classify_folder
classifier = ShadeClassifier(workers=2)
classifier.batch_size = 32
summary = classify_folder(sys.argv[1:-1], sys.argv[-1], classifier=classifier)
# Not getrusage: its peak starts at that of the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]
print(summary.rows, peak)
"""


def peak(out, *inputs):
    """Rows and the peak of resident memory, in MiB, of a process that classifies inputs."""
    arguments = [sys.executable, "-c", CODE, *map(str, inputs), str(out)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    rows, kilobytes = map(int, done.stdout.split())
    return rows, kilobytes / 1024


@pytest.mark.parametrize("way", ["folder", "list"])
def test_eight_times_the_files_take_the_same_memory(tmp_path, way):
    folders = {}
    for count in (1_000, 8_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        save_shade(folder / "face-0.png", 99)
        for number in range(1, count):
            os.link(folder / "face-0.png", folder / f"face-{number}.png")
        folders[count] = folder
        if way == "list":
            names = "".join(f"{folder}/face-{number}.png\n" for number in range(count))
            (tmp_path / f"{count}.txt").write_text(names)
            folders[count] = f"@{tmp_path}/{count}.txt"
    few_rows, few = peak(tmp_path / "few.csv", folders[1_000])
    many_rows, many = peak(tmp_path / "many.csv", folders[8_000])
    assert (few_rows, many_rows) == (1_000, 8_000)
    assert many - few < 10, f"{few:.0f} MiB for 1,000 files, {many:.0f} MiB for 8,000"
