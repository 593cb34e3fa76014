"""A file stands in its place whole, or what was there before still does."""

import os

import pytest

from fer_fast.machine.disk import check_file, check_place, check_readable_folder, why_absent, write_whole
from fer_fast.types import OutputRefusedError


def test_bytes_replace_a_file_and_leave_nothing_beside_it(tmp_path):
    path = tmp_path / "a.png"
    for data in (b"first", b""):
        write_whole(path, data)
        assert path.read_bytes() == data and list(tmp_path.iterdir()) == [path]


def test_a_failing_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_link_leads_to_the_place(tmp_path):
    (tmp_path / "link").symlink_to("nothing yet")
    assert check_place(f"{tmp_path}/link") == tmp_path.resolve() / "nothing yet"


def test_no_file_can_take_the_place_of_these(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for name, message in [
        ("", "is a folder"),
        ("a" * 256, "cannot be written: File name too long"),
        (f"{'a' * 244}.png", "cannot be written: File name too long"),  # what is written beside it has a longer one
        ("a\0.png", "cannot be written: (lstat: )?embedded null"),
        ("pipe", "is not a regular file"),
        ("device", "is not a regular file"),
        ("nowhere/a.png", "does not exist"),
    ]:
        with pytest.raises(OutputRefusedError, match=message):
            check_place(f"{tmp_path}/{name}")
    with pytest.raises(OutputRefusedError, match="the output must have a name, not ''"):
        check_place("")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(OutputRefusedError, match="cannot be written"):
        check_place(f"{tmp_path}/a.png")


def test_what_is_to_be_read_is_called_missing_only_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "file").touch()
    assert why_absent(str(tmp_path)) == why_absent(f"{tmp_path}/file") == ""
    for name in ("nothing", "gone", "file/below"):
        assert why_absent(f"{tmp_path}/{name}") == "does not exist"
        with pytest.raises(ValueError, match=f"data must be a folder; there is no '{tmp_path}/{name}'"):
            check_readable_folder("data", tmp_path / name)
        with pytest.raises(ValueError, match=rf"boxes must be a \.csv file; there is no '{tmp_path}/{name}'"):
            check_file("boxes", tmp_path / name, ".csv")
    for name, why in (("loop", "Too many levels"), ("a" * 256, "File name too long"), ("a\0", ".*null")):
        assert why_absent(f"{tmp_path}/{name}").startswith("cannot be read: ")
        with pytest.raises(ValueError, match=f"data must be a folder; '.*' cannot be read: {why}"):
            check_readable_folder("data", tmp_path / name)
    with pytest.raises(ValueError, match=r"boxes must be a \.csv file, which '.*' is not"):
        check_file("boxes", tmp_path, ".csv")

    def closed(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", closed)  # root looks everywhere
    assert why_absent("a") == "cannot be read: Permission denied"
