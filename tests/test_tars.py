"""Tars as inputs: a row for each image in them, as if they were folders; damage is told, and costs no other file."""

from __future__ import annotations

import io
import logging
import os
import tarfile
import tracemalloc

import pytest
from PIL import Image
from shades import save_shade
from tables import read

from fer_fast.decode import files
from fer_fast.inputs import ImageFiles, Shard, key_of
from fer_fast.inputs.tars import members
from fer_fast.machine.inside import Inside, inside_of

FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


def grey(shade, kind="PNG"):
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(content, kind)
    return content.getvalue()


def save_tar(path, contents, form=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in contents:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return path


SAMPLES = [(f"{number:04}.{kind}", grey(number) if kind == "png" else b"3") for number in range(20) for kind in
           ("png", "cls")]  # fmt: skip


@pytest.fixture
def tar(tmp_path):
    return save_tar(tmp_path / "train-000.tar", SAMPLES)


def found(*inputs, **options):
    return [*ImageFiles(inputs, **options).items()]


def test_a_path_inside_a_file_is_told_from_one_of_a_file():
    member = Inside("a/b.tar", "c/d\udce9.jpg", 512, 99)
    assert inside_of(member.path) == member and member.shown == "a/b.tar/c/d\udce9.jpg"
    for path in ("a/b.tar", "a/b.tar/c.jpg", "odd\0name.jpg", "a\0b\0c", "a\0-1+2\0/c", "\0\0"):
        assert inside_of(path) is None


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_row_for_each_image_in_a_tar(tmp_path, ended, form):
    long = "deep/" + "x" * 90 + ".png"
    contents = [*SAMPLES, ("./dotted.png", grey(101)), (long, grey(102)), ("/full.tif", grey(103, "TIFF"))]
    contents += [("caf\u00e9.jpg", grey(104)), ("bad.jpg", b"no image at all, but some text"), ("empty.jpg", b"")]
    contents += [("._0001.png", grey(1)), ("__MACOSX/0001.png", grey(1)), ("film.mp4", b"no")]
    tar = save_tar(tmp_path / "some.tar", contents, form)
    status, _, error = ended(tar, "-o", tmp_path / "out.jsonl")
    assert status == 0 and "files in the folders are not called as images are: .cls 20, .mp4 1" in error
    assert "2 hidden files and folders are left out" in error
    rows = {row["path"].removeprefix(f"{tar}/"): row for row in read(tmp_path / "out.jsonl")}
    expected = {f"{number:04}.png": number for number in range(20)}
    expected |= {"dotted.png": 101, long: 102, "full.tif": 103, "caf\u00e9.jpg": 104}
    seen = {name: round(row["p_neutral"] * 255) for name, row in rows.items() if row["status"] == "ok"}
    assert seen == expected
    assert [rows[name]["status"] for name in ("bad.jpg", "empty.jpg")] == ["unsupported", "empty"]


def test_a_tar_is_an_input_where_it_is_named_and_none_in_a_folder(tar, tmp_path):
    files_of_folder = ImageFiles([tmp_path])
    assert [*files_of_folder] == [] and files_of_folder.skipped == {".tar": 1}
    (tmp_path / "list").write_text(f"{tar}\n")
    by_name = found(tar)
    assert len(by_name) == 20 and by_name[0].name == f"{tar}/0000.png" and key_of(by_name[0].path) == by_name[0].key
    assert found(f"{tmp_path}/*.tar") == found(f"@{tmp_path}/list") == found(tar, tar) == by_name


def test_a_tar_is_in_one_share_whole(tmp_path):
    for number in range(8):
        save_tar(tmp_path / f"train-{number}.tar", [(f"{number}-{each}.png", grey(each)) for each in range(3)])
    shares = [found(f"{tmp_path}/*.tar", shard=Shard(f"{number}/3")) for number in (1, 2, 3)]
    tars = [{item.name.rpartition("/")[0] for item in items} for items in shares]
    assert sum(map(len, shares)) == 24 and sum(map(len, tars)) == 8


def test_links_in_a_tar_are_told(tmp_path, ended):
    """Who packs one file under two names has a link instead of the second."""
    for name in ("some.tar", "none.tar"):
        with tarfile.open(tmp_path / name, "w") as tar:
            if name == "some.tar":
                about = tarfile.TarInfo("a.png")
                about.size = len(grey(1))
                tar.addfile(about, io.BytesIO(grey(1)))
            for kind, link in ((tarfile.LNKTYPE, "b.png"), (tarfile.SYMTYPE, "c.png"), (tarfile.SYMTYPE, "d.txt")):
                about = tarfile.TarInfo(link)
                about.type, about.linkname = kind, "a.png"
                tar.addfile(about)
    status, _, error = ended(tmp_path / "some.tar", "-o", tmp_path / "out.csv")
    assert (
        status == 0
        and "2 links or sparse files in tars are left out" in error
        and "called as images are: .txt 1" in error
    )
    assert len(read(tmp_path / "out.csv")) == 1
    status, _, error = ended(tmp_path / "none.tar", "-o", tmp_path / "none.csv")
    assert status == 2 and "2 are links or sparse in tars" in error


def test_of_two_members_of_one_name_the_first_counts(tmp_path):
    [item] = found(save_tar(tmp_path / "twice.tar", [("a.png", grey(1)), ("./a.png", grey(2))]))
    assert item.name.endswith("twice.tar/a.png")


def test_resume_keeps_the_rows_of_a_tar_that_is_as_it_was(tar, tmp_path, ended, monkeypatch):
    out = tmp_path / "out.csv"
    assert ended(tar, "-o", out, fail_at=2)[0] == 1
    status, _, error = ended(tar, "-o", out, "--resume")
    assert status == 0 and "of them kept from an earlier run" in error
    monkeypatch.chdir(tmp_path)
    assert "nothing was classified" in ended(tar.name, "-o", out, "--resume")[2]
    save_tar(tar, [*SAMPLES, ("more.png", grey(200))])
    os.utime(tar, ns=(1, 1))
    status, _, error = ended(tar, "-o", out, "--resume")
    assert status == 0 and "20 files have changed since" in error and len(read(out)) == 21


@pytest.mark.parametrize(
    ("damage", "rows", "reason"),
    [
        (lambda whole: whole[: 10 * 1024 + 700], 6, "unexpected end of data"),
        (lambda whole: whole[: 10 * 1024 + 530], 6, "unexpected end of data"),
        (lambda whole: whole[: 10 * 1024], 5, "it ends without an end mark"),
        (lambda whole: whole[: 10 * 1024] + b"x" * 4096, 5, "what stands at byte 10240 is no member"),
    ],
)
def test_a_tar_that_ends_too_early_is_told_and_strict_minds(tar, tmp_path, ended, damage, rows, reason):
    tar.write_bytes(damage(tar.read_bytes()))
    status, _, error = ended(tar, "-o", tmp_path / "out.csv", "--strict")
    made = read(tmp_path / "out.csv")
    assert status == 1 and f"the rest of the tar '{tar}' is left out" in error and reason in error
    assert "1 folder or tar could not be read" in error and len(made) == rows
    shades = [(row["status"], round((row["p_neutral"] or 0) * 255)) for row in made]
    assert shades[:5] == [("ok", number) for number in range(5)]
    assert shades[5:] in ([], [("ok", 5)], [("failed", 0)])


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [(None, "unreadable", "No such file"), (b"", "empty", "no bytes"), (b"no tar" * 200, "unsupported", "")],
)
def test_what_is_no_tar_is_a_row(tmp_path, ended, content, status, error):
    if content is not None:
        (tmp_path / "a.tar").write_bytes(content)
    save_shade(tmp_path / "b.png", 9)
    (tmp_path / "list").write_text(f"{tmp_path}/a.tar\n{tmp_path}/b.png\n")
    assert ended(f"@{tmp_path}/list", "-o", tmp_path / "out.csv")[0] == 0
    first, second = read(tmp_path / "out.csv")
    assert (first["path"], first["status"], second["status"]) == (f"{tmp_path}/a.tar", status, "ok")
    assert error in first["error"]


def test_a_tar_that_can_be_read_now_has_no_row_of_its_own_any_more(tar, tmp_path, ended):
    out, whole = tmp_path / "out.csv", tar.read_bytes()
    tar.write_bytes(b"no tar")
    save_shade(tmp_path / "z.png", 9)
    assert ended(tar, tmp_path / "z.png", "-o", out)[0] == 0
    assert [row["status"] for row in read(out)] == ["unsupported", "ok"]
    tar.write_bytes(whole)
    status, _, error = ended(tar, tmp_path / "z.png", "-o", out, "--resume", "--strict")
    assert status == 0 and "not among the inputs" not in error
    assert [row["status"] for row in read(out)] == ["ok"] * 21


def test_hostile_headers_end_a_tar_and_nothing_else(tmp_path, caplog):
    caplog.set_level(logging.WARNING, "fer_fast")
    whole = bytearray(save_tar(tmp_path / "back.tar", SAMPLES, tarfile.GNU_FORMAT).read_bytes())
    header = whole[1024:1536]
    header[124:136] = b"\xff" * 10 + b"\xf8\x00"  # a size below 0: tarfile goes back, and comes here again
    header[148:156] = b"%06o\0 " % sum(header[:148] + b" " * 8 + header[156:])
    whole[1024:1536] = header
    (tmp_path / "back.tar").write_bytes(whole)
    with tarfile.open(tmp_path / "sparse.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("0000.png"))
        about = tarfile.TarInfo("a.png")
        about.pax_headers = {"GNU.sparse.map": "none", "GNU.sparse.size": "many"}
        tar.addfile(about)
    for name in ("back.tar", "sparse.tar"):
        with pytest.raises(tarfile.ReadError):
            for count, _ in enumerate(members(str(tmp_path / name))):
                assert count < 40
        assert len(found(tmp_path / name)) < 20 and f"the rest of the tar '{tmp_path}/{name}'" in caplog.text


def header(kind, size, name="0000.png"):
    """A block that tells of what follows it, with any size."""
    about = tarfile.TarInfo(name)
    about.type, about.size = kind, max(size, 0)
    block = bytearray(about.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = size.to_bytes(12, "big", signed=True) if size < 0 else block[124:136]
    block[148:156] = b"%06o\0 " % sum(block[:148] + b" " * 8 + block[156:])
    return bytes(block)


def by_pax(name, **records):
    about = tarfile.TarInfo(name)
    about.pax_headers = records
    return about


PAX = tarfile.TarInfo.create_pax_global_header({"comment": "x"})
HOSTILE = {
    "headers of headers": (PAX * 600, "maximum recursion depth"),
    "records of 6 GB": (header(tarfile.XHDTYPE, 6 << 30), "says that it has 6442450944 bytes"),
    "a name of 6 GB": (header(tarfile.GNUTYPE_LONGNAME, 6 << 30), "says that it has 6442450944 bytes"),
    "less than nothing": (header(tarfile.REGTYPE, -100), "says that it has -100 bytes"),
    "a name of less": (header(tarfile.GNUTYPE_LONGNAME, -100), "says that it has -100 bytes"),
    "less by pax": (by_pax("a.png", size="-100").tobuf(tarfile.PAX_FORMAT), "is no member"),
}  # fmt: skip


@pytest.mark.parametrize(("blocks", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_header_that_no_writer_makes_ends_a_tar_and_not_the_run(tmp_path, caplog, blocks, reason):
    tar = save_tar(tmp_path / "a.tar", SAMPLES[:2])
    tar.write_bytes(tar.read_bytes()[:2048] + blocks)
    os.truncate(tar, 64 << 20)  # where there is something to read
    caplog.set_level(logging.WARNING, "fer_fast")
    tracemalloc.start()
    assert [item.name for item in found(tar)] == [f"{tar}/0000.png"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"the rest of the tar '{tar}' is left out" in caplog.text and reason in caplog.text and peak < 8 << 20


def test_a_nul_ends_a_name(tmp_path):
    """Pax has names with one: no picture of such a member could be saved."""
    with tarfile.open(tmp_path / "nul.tar", "w") as tar:
        for number, name in enumerate(["a.png\0/b.png", "c\0.png"]):
            about = by_pax("x.png", path=name)
            about.size = len(grey(number))
            tar.addfile(about, io.BytesIO(grey(number)))
    assert [item.name for item in found(tmp_path / "nul.tar")] == [f"{tmp_path}/nul.tar/a.png"]


def test_what_is_called_a_tar_and_is_a_pipe_is_not_waited_for(tmp_path, ended):
    os.mkfifo(tmp_path / "a.tar")
    assert ended(tmp_path / "a.tar", "-o", tmp_path / "out.csv")[0] == 0
    [row] = read(tmp_path / "out.csv")
    assert (row["status"], row["error"]) == ("unreadable", "is not a regular file")


def test_a_member_that_is_large_is_told(tar, tmp_path, ended, monkeypatch):
    monkeypatch.setattr(files, "READ_AT_ONCE", 50)
    assert ended(tar, "-o", tmp_path / "out.csv")[0] == 0
    row = read(tmp_path / "out.csv")[0]
    assert row["status"] == "too_large" and "bytes in a tar, more than 50: take it out of it" in row["error"]


def test_a_tar_that_became_shorter_meanwhile_has_failed_rows(tar, tmp_path):
    last = found(tar)[-1]
    tar.write_bytes(tar.read_bytes()[:2000])
    with pytest.raises(files.DecodeError, match="became shorter") as raised:
        files.read_image_file(last.path)
    assert raised.value.status == "failed" and raised.value.stamp[0] == 2000
