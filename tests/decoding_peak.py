"""A file is decoded in a process of its own; the memory that this takes at most comes out, and what was estimated."""

import json
import subprocess
import sys

PROGRAM = """
import io, json, re, sys
from fer_fast.decode.codecs import decode_content, memory_of
from fer_fast.decode.views import Square
from fer_fast.decode.files import read_image_file
from fer_fast.decode.formats.opening import open_picture, prepare_codecs

def status(name):
    with open("/proc/self/status") as lines:
        return 1024 * int(re.search(name + r":\\s*(\\d+)", lines.read())[1])

prepare_codecs()
small, large = sys.argv[1:]
with open(small, "rb") as content:
    decode_content(content.read(), Square(24))  # loads what is loaded once
content, kind, size, _ = read_image_file(large)
picture = open_picture(kind, content, size)
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
before = status("VmRSS")
view = Square(224)
view.make(picture, picture.load(view.least(picture)))
print(json.dumps([status("VmHWM") - before, memory_of(picture, view)]))
"""


def peak_and_estimate(small, large):
    """Bytes that decoding the file `large` takes at most, and its estimate; `small` is of the same kind."""
    command = [sys.executable, "-c", PROGRAM, str(small), str(large)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return tuple(json.loads(ran.stdout))
