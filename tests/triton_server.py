"""Triton Inference Server on the loopback: a folder of models comes in, the address of a server that has them goes out.

The server is that of nvidia-pytriton's wheel, which brings none of the back ends that exports are for. Those in
`triton_backends/` stand in for them: they run the same files by the same libraries, in Python.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_STAND_INS = Path(__file__).parent / "triton_backends"


def _package() -> Path:
    spec = find_spec("pytriton")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def stub() -> Path:
    """The program that runs a back end in Python; there is none for every Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _package() / "tritonserver" / "python_backend_stubs" / version / "triton_python_backend_stub"


def _make_backends(folder: Path) -> None:
    shutil.copytree(_package() / "tritonserver" / "backends" / "python", folder / "python")
    shutil.copy(stub(), folder / "python")
    for stand_in in _STAND_INS.glob("*.py"):
        (folder / stand_in.stem).mkdir()
        # It runs in an interpreter of Triton's own, which knows nothing of this one's packages.
        text = f"import sys\nsys.path[:0] = {sys.path!r}\n{stand_in.read_text()}"
        (folder / stand_in.stem / "model.py").write_text(text)


@contextmanager
def serving(models: Path, scratch: Path) -> Iterator[str]:
    """A server that has loaded every model of a folder; its address, for gRPC.

    Args:
        models: the folder.
        scratch: a folder for the back ends.

    Raises:
        AssertionError: it ends before it serves, with what it said.
    """
    _make_backends(scratch)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    libraries = [str(_package().parent / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    process = subprocess.Popen(
        [
            *(_package() / "tritonserver" / "bin" / "tritonserver", "--model-repository", models),
            *("--backend-directory", scratch, "--allow-http", "false", "--allow-metrics", "false"),
            *("--grpc-address", "127.0.0.1", "--grpc-port", address.rpartition(":")[2]),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)},
    )
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if f"Started GRPCInferenceService at {address}" in line:
                break
        else:
            raise AssertionError("".join(said))
        reader = threading.Thread(target=process.stdout.read)  # lest the pipe be full
        reader.start()
        yield address
    finally:
        process.terminate()
        process.wait()
    reader.join()
