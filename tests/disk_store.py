"""An object store in a folder, which outlives processes, and kills the one that asks for a certain change.

It has the scheme gs://. SHADE_STORE is the folder; its folders are buckets. Before the change of the number that
SHADE_STORE_KILLS says, the first of a process is 0, the process kills itself; where a folder is removed, in the midst
of it.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import fsspec
from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK


class DiskStore(AbstractFileSystem):
    """What is used of a driver, and no more."""

    protocol = "gs"
    cachable = False
    changes = 0

    def info(self, path, **_):
        return self._about(self._place(path), self._strip_protocol(path))

    def ls(self, path, detail=True, **_):
        folder = self._place(path)
        return [self._about(each, f"{self._strip_protocol(path)}/{each.name}") for each in sorted(folder.iterdir())]

    def get_file(self, rpath, lpath, callback=DEFAULT_CALLBACK, **_):
        shutil.copyfile(self._place(rpath), lpath)

    def put_file(self, lpath, rpath, callback=DEFAULT_CALLBACK, mode="overwrite", **_):
        self._change()
        place = self._place(rpath)
        if not self._place(rpath.split("/")[0]).is_dir():
            raise FileNotFoundError("The specified bucket does not exist")
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(os.environ["SHADE_STORE"]) / ".coming"
        shutil.copyfile(lpath, fresh)
        fresh.replace(place)

    def rm_file(self, path):
        self._change()
        self._place(path).unlink()
        self._drop_empty(self._place(path).parent)

    def rm(self, path, recursive=False, maxdepth=None):
        for each in sorted(self._place(path).iterdir(), reverse=True):  # what says whose they are would be the last
            self._change()
            each.unlink()
        self._drop_empty(self._place(path))

    def _change(self):
        if str(DiskStore.changes) == os.environ.get("SHADE_STORE_KILLS"):
            os.kill(os.getpid(), signal.SIGKILL)
        DiskStore.changes += 1

    def _place(self, path):
        return Path(os.environ["SHADE_STORE"]) / self._strip_protocol(path)

    @staticmethod
    def _drop_empty(folder):
        if not any(folder.iterdir()):  # a store has no folders but by what lies in them
            folder.rmdir()

    @staticmethod
    def _about(place, name):
        if place.is_dir():
            return {"name": name, "type": "directory", "size": 0}
        status = place.stat()
        return {"name": name, "type": "file", "size": status.st_size, "mtime": status.st_mtime_ns}


def register():
    fsspec.register_implementation("gs", DiskStore, clobber=True)
