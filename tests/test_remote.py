"""Inputs in an object store: found as in folders, known again by their listing, and refused in a sentence."""

from __future__ import annotations

import errno
import io
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shades import ShadeClassifier
from tables import read

from fer_fast import classify_folder, classify_rows, merge_tables
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.decode.pillow import PillowDecoder
from fer_fast.inputs import ImageFiles, Shard, absolute, key_of
from fer_fast.machine.urls import is_url, name_in
from fer_fast.remote import faults, stores, trying

NAMES = ("10.png", "9.png", "a/1.png", "a/b/2.PNG", "a/b/3.png", "c/4.png")


def shade(value, kind="PNG", side=8):
    content = io.BytesIO()
    Image.new("L", (side, side), value).save(content, kind)
    return content.getvalue()


@pytest.fixture
def bucket(monkeypatch):
    """fsspec's file system in memory; photos/ has an image of each of `NAMES`, of the shade that it is called."""
    import fsspec

    monkeypatch.setattr(trying, "PAUSES", (0.0,) * len(trying.PAUSES))
    memory = fsspec.filesystem("memory")
    for name in NAMES:
        memory.pipe(f"/photos/{name}", shade(int(Path(name).stem)))
    for name in ("notes.txt", "._1.png", ".hidden/5.png", "a/film.mp4", "a/train.tar"):
        memory.pipe(f"/photos/{name}", b"no image")
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def found(*inputs, **options):
    return [item.path for item in ImageFiles(inputs, **options).items()]


def urls(*names):
    return [f"memory://photos/{name}" for name in names]


def shades_in(table):
    return {row["path"]: round(row["p_neutral"] * 255) for row in read(table) if row["p_neutral"]}


EXPECTED = dict(zip(urls(*NAMES), (10, 9, 1, 2, 3, 4), strict=True))


def test_which_words_are_urls():
    assert all(map(is_url, ("s3://b", "memory://", "az://c@a.host/x", "https://a/b c.jpg", "hf://datasets/a/b@c")))
    assert not any(map(is_url, ("a/b.jpg", "c://x", "/s3://b", "S3://b", "a b://c", "./https://x", "://x", "s3:/b")))
    assert [name_in(url) for url in ("https://h/a.jpg?b=/c#d", "s3://b/a?.jpg")] == ["h/a.jpg", "b/a?.jpg"]


def test_a_prefix_is_searched_as_a_folder_is(bucket, tmp_path):
    for name in bucket.find("/photos"):
        place = tmp_path / name[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bucket.cat(name))
    here = ImageFiles([tmp_path / "photos"], films=True)
    there = ImageFiles(["memory://photos"], films=True)
    names = [path.removeprefix(str(tmp_path / "photos") + "/") for path in here]
    expected = urls(*(name for name in names if name != "a/film.mp4"))
    assert [*there] == expected and names[:3] == [*NAMES[:2], "a/1.png"]
    assert there.skipped == {**here.skipped, ".mp4": 1} and there.skipped["hidden"] == 2
    assert found("memory://photos/") == found("memory://photos") == expected


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.png", NAMES[:2]),
        ("a/*", ("a/b/2.PNG", "a/b/3.png", "a/1.png", "a/film.mp4", "a/train.tar")),
        ("**/*.png", ("10.png", "9.png", "a/1.png", "a/b/3.png", "c/4.png")),
        ("a/**", ("a/1.png", "a/b/2.PNG", "a/b/3.png", "a/film.mp4", "a/train.tar")),
        ("[ac]/?.png", ("a/1.png", "c/4.png")),
        ("*/b", ("a/b/2.PNG", "a/b/3.png")),
        (".hidden/*", (".hidden/5.png",)),
    ],
)
def test_globs_are_those_of_folders(pattern, names, bucket):
    assert sorted(found(f"memory://photos/{pattern}")) == sorted(urls(*names))


def test_a_key_that_looks_like_a_glob_is_a_key(bucket):
    bucket.pipe("/photos/x[1].png", shade(1))
    assert found("memory://photos/x[1].png") == ["memory://photos/x[1].png"]


def test_rows_of_a_bucket_beside_those_of_a_disk(bucket, tmp_path, ended):
    (tmp_path / "here.png").write_bytes(shade(77))
    status, _, said = ended("memory://photos", tmp_path / "here.png", urls("9.png")[0], "-o", tmp_path / "out.csv")
    assert status == 0 and shades_in(tmp_path / "out.csv") == {**EXPECTED, str(tmp_path / "here.png"): 77}, said
    assert ".txt 1, .mp4 1, .tar 1" in said and "2 hidden files and folders" in said


def test_a_list_may_name_anything(bucket, tmp_path, ended):
    names = [*urls("9.png", "none.png", "a", "a/film.mp4"), "nothing://x/y.png", "s3a+b://x/y.png"]
    (tmp_path / "list").write_text("\n".join(names))
    assert ended(f"@{tmp_path}/list", "-o", tmp_path / "out.csv")[0] == 0
    rows = read(tmp_path / "out.csv")
    assert [row["path"] for row in rows] == names
    assert [row["status"] for row in rows] == ["ok", *["unreadable"] * 2, "unsupported", *["unreadable"] * 2]
    assert [row["error"] for row in rows[1:3]] == ["there is no such file", "is a directory"]
    assert "no file system is known for nothing://" in rows[4]["error"]


def test_a_shard_is_the_same_of_a_bucket_and_of_a_folder(bucket, tmp_path):
    shares = [found("memory://photos", shard=Shard(f"{number}/3")) for number in (1, 2, 3)]
    assert sorted(chain.from_iterable(shares)) == sorted(EXPECTED)
    for number, share in enumerate(shares, 1):
        shard = Shard(f"{number}/3")
        assert share == [url for url in found("memory://photos") if shard.takes(url.removeprefix("memory://photos/"))]
        (tmp_path / "list").write_text("\n".join(EXPECTED))
        whole = Shard(f"{number}/3")
        assert found(f"@{tmp_path}/list", shard=Shard(f"{number}/3")) == [url for url in EXPECTED if whole.takes(url)]


def test_shards_of_a_bucket_merge(bucket, tmp_path, ended):
    for number in (1, 2, 3):
        assert ended("memory://photos", "-o", tmp_path / f"{number}.csv", "--shard", f"{number}/3")[0] == 0
    merge_tables([tmp_path / f"{number}.csv" for number in (1, 2, 3)], tmp_path / "out.csv")
    assert shades_in(tmp_path / "out.csv") == EXPECTED
    again = ended("memory://photos", "-o", tmp_path / "out.csv", "--resume")
    assert again[0] == 0 and "6 of them kept" in again[2], again


def test_resume_asks_the_listing_alone(bucket, tmp_path, ended, monkeypatch):
    out = tmp_path / "out.csv"
    assert ended("memory://photos", "-o", out)[0] == 0
    bucket.pipe("/photos/9.png", shade(99))
    bucket.pipe("/photos/a/new.png", shade(50))
    asked, info = [], type(bucket).info
    monkeypatch.setattr(type(bucket), "info", lambda self, name, **_: asked.append(name) or info(self, name))
    read_now, cat = [], type(bucket).cat_file
    monkeypatch.setattr(type(bucket), "cat_file", lambda self, name, **_: read_now.append(name) or cat(self, name))
    assert ended("memory://photos", "-o", out, "--resume", "-q")[0] == 0
    changed = {"memory://photos/9.png": 99, "memory://photos/a/new.png": 50}
    assert shades_in(out) == {**EXPECTED, **changed}
    assert {*asked} == {"/photos"} and sorted(read_now) == ["/photos/9.png", "/photos/a/new.png"]


def test_resume_of_a_list_does_what_is_new_and_what_could_not_be_known(bucket, tmp_path, ended):
    out, names = tmp_path / "out.csv", urls("9.png", "late.png", "10.png")
    for each in (names, [*names, *urls("none.png", "a/1.png")]):
        (tmp_path / "list").write_text("\n".join(each))
        assert ended(f"@{tmp_path}/list", "-o", out, "--resume")[0] == 0
        bucket.pipe("/photos/late.png", shade(60))
    assert [row["status"] for row in read(out)] == ["ok", "ok", "ok", "unreadable", "ok"]
    assert shades_in(out) == dict(zip(urls("9.png", "late.png", "10.png", "a/1.png"), (9, 60, 10, 1), strict=True))


def test_faces_pictures_and_crops_of_a_bucket(bucket, tmp_path, ended):
    content = io.BytesIO()
    photo_with_faces(np.random.default_rng(3), (960, 720), 3)[0].save(content, "JPEG")
    bucket.pipe("/people/summer/a.jpg", content.getvalue())
    (tmp_path / "people" / "summer").mkdir(parents=True)
    (tmp_path / "people" / "summer" / "a.jpg").write_bytes(content.getvalue())
    tables = []
    for place, name in (("memory:/", "there"), (tmp_path, "here")):
        pictures = ("--draw", tmp_path / name / "drawn", "--crops", tmp_path / name / "crops")
        status, _, said = ended(f"{place}/people", "--faces", "all", "-o", tmp_path / f"{name}.jsonl", *pictures)
        assert status == 0 and "3 pictures in" in said, said
        tables.append([{**row, "path": ""} for row in read(tmp_path / f"{name}.jsonl")])
    assert tables[0] == tables[1] and len(tables[0]) == 3
    key = f"{key_of('memory://people/summer/a.jpg') >> 32:08x}"
    drawn, crops = (sorted((tmp_path / "there" / kind).iterdir()) for kind in ("drawn", "crops"))
    assert [path.name for path in drawn] == [f"a_{key}.jpg"]
    assert [path.name for path in crops] == [f"a_{key}_{number}.png" for number in range(3)]
    assert crops[0].read_bytes() == sorted((tmp_path / "here" / "crops").iterdir())[0].read_bytes()


def test_python_gets_the_urls(bucket, tmp_path):
    content = io.BytesIO()
    photo_with_faces(np.random.default_rng(1), (480, 360), 1)[0].save(content, "JPEG")
    bucket.pipe("/people/a.jpg", content.getvalue())
    given = []
    with_faces = {"faces": "all", "crops": lambda path, frame, crops: given.append((path, frame, len(crops)))}
    classify_folder("memory://people", tmp_path / "out.csv", classifier=ShadeClassifier(), **with_faces)
    assert given == [("memory://people/a.jpg", None, 1)]
    assert [row.path for row in classify_rows("memory://photos", ShadeClassifier())] == [*EXPECTED]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"], ids=["in processes", "in processes of their own"])
def test_processes_decode_what_was_fetched(kind, bucket, tmp_path):
    """Memory of this process is a file for any other; a TIFF no thread decodes."""
    for name in NAMES:
        bucket.pipe(f"/photos/{name}", shade(int(Path(name).stem), kind))
    classifier = ShadeClassifier()
    classifier.decoder = PillowDecoder(classifier.image_size, workers=2, processes_after=0)
    with classifier.decoder as decoder:
        decoder._processes._start()
        summary = classify_folder("memory://photos", tmp_path / "out.csv", classifier=classifier)
        assert summary.ran["model"] and len(decoder.process_ids) == 2
    assert shades_in(tmp_path / "out.csv") == EXPECTED


def test_a_file_that_codecs_read_piecewise_is_one_by_itself(bucket, tmp_path, ended, monkeypatch):
    monkeypatch.setattr("fer_fast.remote.in_memory.READ_AT_ONCE", 10)
    monkeypatch.setattr("fer_fast.decode.files.READ_AT_ONCE", 10)
    assert ended("memory://photos", "-o", tmp_path / "out.csv")[0] == 0 and shades_in(tmp_path / "out.csv") == EXPECTED


def test_an_empty_object_and_one_that_is_no_image(bucket, tmp_path, ended):
    bucket.pipe({"/odd/a.png": b"", "/odd/b.png": b"no image, but some text", "/odd/c.png": shade(3)[:40]})
    assert ended("memory://odd", "-o", tmp_path / "out.csv")[0] == 0
    assert [row["status"] for row in read(tmp_path / "out.csv")] == ["empty", "unsupported", "corrupt"]


def test_a_folder_that_cannot_be_listed_is_told(bucket, tmp_path, ended, monkeypatch):
    listed = type(bucket).ls

    def forbidden(self, path, **options):
        if path == "/photos/a":
            raise PermissionError("AccessDenied")
        return listed(self, path, **options)

    monkeypatch.setattr(type(bucket), "ls", forbidden)
    status, _, said = ended("memory://photos", "-o", tmp_path / "out.csv")
    assert status == 0 and "the folder 'memory://photos/a' is left out: it is forbidden: AccessDenied" in said
    assert [*shades_in(tmp_path / "out.csv").values()] == [10, 9, 4]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["memory://nowhere"], "'memory://nowhere' does not exist"),
        (["memory://photos/*.gif"], "nothing matches 'memory://photos/*.gif'"),
        (["foo://bucket"], "no file system is known for foo://"),
        (["oss://bucket"], "oss:// needs a package that is not there: Install ossfs"),
        (["https://host/folder/"], "the web has no folders"),
        (["memory://photos", "-o", "hf://bucket/out.csv"], "'hf://bucket/out.csv' is in no object store"),
        (["memory://photos", "--faces", "all", "--draw", "s3://b"], "--draw must be a folder on a disk, not 's3://b'"),
        (["memory://photos", "--every", "2f"], "--every is for films, and there is none among the inputs"),
    ],
)
def test_what_cannot_be_is_refused_before_the_run(inputs, words, bucket, tmp_path, ended):
    status, out, said = ended(*inputs)
    assert status == 2 and not out and words in said and said.count("\n") == 1, said


def test_a_store_that_answers_nothing_is_told_before_the_run(bucket, ended, monkeypatch):
    def lost(self, path, **_):
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr(type(bucket), "info", lost)
    status, _, said = ended("memory://photos")
    assert status == 2 and "'memory://photos' cannot be read: [Errno 113] No route to host" in said


def test_without_fsspec_a_sentence_says_what_to_install(ended, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    status, _, said = ended("s3://bucket")
    assert status == 2 and "pip install 'fer-fast[remote]'" in said


def test_urls_are_called_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("s3://b/../c") == "s3://b/../c"
    assert key_of("s3://b//a.jpg") != key_of("s3://b/a.jpg") != key_of("https://b/a.jpg")


def test_a_list_of_objects_is_looked_at_before_it_is_read(bucket):
    """Of an object that may be read and not looked at the bytes decide; of one that is a folder, nothing is read."""
    assert stores.content_of("memory://photos/9.png", None, lambda size: None)[0] == shade(9)
    with pytest.raises(IsADirectoryError):
        stores.content_of("memory://photos/a", None, lambda size: None)
    with pytest.raises(faults.CutError, match="it has not come whole: 3 bytes of 99"):
        bucket.pipe("/photos/short.png", b"123")
        stores.content_of("memory://photos/short.png", (99, 0), lambda size: None)


def test_a_closed_run_leaves_no_thread(bucket, tmp_path, ended):
    from threads_left import threads_left

    assert ended("memory://photos", "-o", tmp_path / "out.csv")[0] == 0
    assert not threads_left("fer-fast-look")
