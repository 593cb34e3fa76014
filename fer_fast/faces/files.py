"""A finder's name or file comes in, its checkpoint goes out; YuNet's own files are read, too."""

from __future__ import annotations

from pathlib import Path

from fer_fast.models.checkpoint import FinderCheckpoint, finder_path, read_finder
from fer_fast.types import FerFastError


def is_yunet(finder: str | Path) -> bool:
    """Whether a file is to be read as YuNet's, by its name."""
    return Path(finder).suffix.lower() == ".onnx"


def read_finder_file(finder: str | Path) -> FinderCheckpoint:
    """Reads a finder.

    Args:
        finder: the name of a packaged finder, or the path of a .safetensors checkpoint or of YuNet's .onnx.

    Raises:
        CheckpointError: if the file is missing, no finder, or damaged.
        FerFastError: an .onnx, and OpenVINO is not installed.
    """
    if not is_yunet(finder):
        return read_finder(finder)
    path = finder_path(finder)
    try:
        from fer_fast.engines.yunet import yunet_checkpoint
    except ImportError as error:
        raise FerFastError(f"openvino is needed to read {str(path)!r} ({error}): pip install openvino") from error
    return yunet_checkpoint(path)
