"""The command in a process of its own, its model in the stead of which the shade of an image answers."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from fer_fast.table.file_table import rows_on_disk

HERE = Path(__file__).parent
COMMAND = [sys.executable, str(HERE / "shades.py"), "classify"]  # the real command but for the model
#: Of a process that imports what this one does: the package from where it is installed, modules of this folder.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def hear_interrupts():
    """A test run in the background, or under nohup, ignores signals, and what it starts would, too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(*arguments, stdin=None, prepare=hear_interrupts, **settings):
    """The command as a process whose output is read; settings are of its environment."""
    environment = {**ENVIRONMENT, "SHADE_PART_SECONDS": "0", **{key: str(value) for key, value in settings.items()}}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], stdin=stdin, preexec_fn=prepare, **options)


@contextmanager
def forking():
    """Runs the command in processes that start at once, see forking.py; what is given is called with its arguments, the
    current folder, seconds after which it is killed if it has not ended, and settings of its environment."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "forking.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    )

    def run(arguments, folder, kill_after=None, **environment):
        order = {
            "arguments": [str(each) for each in arguments],
            "folder": str(folder),
            "environment": {key: str(value) for key, value in environment.items()},
            "kill_after": kill_after,
        }
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    try:
        yield run
    finally:
        process.kill()
        process.communicate()


def wait_for_rows(out, process, rows):
    """Waits until so many rows are in finished parts; with 0 until the run has its folder."""
    while not (out.with_name(f"{out.name}.partial") / "manifest.json").exists() or rows_on_disk(out) < rows:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def wait_for_batches(tells, process, word, batches):
    """Waits until so many batches are "begun" or "answered" in the file that is the command's SHADE_TELLS."""
    while not tells.exists() or tells.read_text().count(word) < batches:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
