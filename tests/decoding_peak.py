"""A file is decoded in a process of its own; the memory that this takes at most comes out, and what was estimated."""

import json
import subprocess
import sys

PROGRAM = """
import io, json, re, sys
from fer_fast.decode.codecs import decode_content, decode_opened, opened
from fer_fast.decode.formats.opening import open_picture, prepare_codecs

def status(name):
    with open("/proc/self/status") as lines:
        return 1024 * int(re.search(name + r":\\s*(\\d+)", lines.read())[1])

prepare_codecs()
small, large = sys.argv[1:]
with open(small, "rb") as content:
    decode_content(content.read(), 24)  # loads what is loaded once
with opened(large) as file:
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before = status("VmRSS")
    decode_opened(file, 224)
    print(json.dumps([status("VmHWM") - before, file.picture.memory]))
"""


def peak_and_estimate(small, large):
    """Bytes that decoding the file `large` takes at most, and its estimate; `small` is of the same kind."""
    command = [sys.executable, "-c", PROGRAM, str(small), str(large)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return tuple(json.loads(ran.stdout))
