"""Folders, globs and lists with nasty contents come in; each image file must come out once, in a known order."""

import io
import logging
import os
import subprocess
import sys

import pytest

from fer_fast.inputs import ImageFiles, absolute
from fer_fast.inputs.globs import reaches
from fer_fast.inputs.lists import listed
from fer_fast.inputs.seen import KeySet
from fer_fast.machine.stall import Pulse


def found(*inputs):
    return list(ImageFiles(inputs))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/z.jpeg", "sub/deep/x.Tif", "also/c.webp", "also/c.webp.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_gives_files_then_folders_sorted(tree):
    assert found(".") == ["./a.PNG", "./b.jpg", "./also/c.webp", "./sub/z.jpeg", "./sub/deep/x.Tif"]


def test_a_named_file_is_an_input_whatever_its_suffix(tree):
    assert found("notes.txt", "sub") == ["notes.txt", "sub/z.jpeg", "sub/deep/x.Tif"]


@pytest.mark.parametrize(
    "inputs",
    [
        (".", "a.PNG", "sub/z.jpeg", "./sub/../sub/z.jpeg"),
        ("a.PNG", "./a.PNG", "sub/z.jpeg", "."),
        ("sub/deep", "sub", ".", "sub"),
        ("**/*.jpeg", ".", "*.PNG"),
        (".", "./", "shortcut", "shortcut/z.jpeg"),
        ("shortcut/z.jpeg", "shortcut", "."),
    ],
)
def test_overlapping_inputs_name_each_file_once(tree, inputs):
    (tree / "shortcut").symlink_to("sub")
    paths = found(*inputs)
    assert len(paths) == len({os.path.realpath(path) for path in paths}) == 5


def test_a_folder_called_like_an_image_is_searched(tree):
    (tree / "album.jpg").mkdir()
    (tree / "album.jpg" / "one.gif").touch()
    assert "./album.jpg/one.gif" in found(".")
    assert "./album.jpg" not in found(".")


def test_links_to_folders_are_followed_once_and_never_in_circles(tree, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "far.png").touch()
    (outside / "back").symlink_to(tree)
    (tree / "0-far").symlink_to(outside)
    (tree / "1-far-again").symlink_to(outside)
    (tree / "sub" / "up").symlink_to("..")
    (tree / "sub" / "here").symlink_to(".")
    (tree / "sub" / "beyond").symlink_to("../..")
    (tree / "loop").symlink_to("loop")
    paths = found(".")
    assert paths[-1] == "./0-far/far.png"
    assert len(paths) == 6


def test_broken_links_and_pipes_with_an_image_name_are_inputs(tree):
    (tree / "dangling.jpg").symlink_to("nowhere")
    (tree / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tree / "pipe.jpg")
    assert {"./dangling.jpg", "./loop.jpg", "./pipe.jpg"} <= set(found("."))
    assert found("dangling.jpg") == ["dangling.jpg"]


def test_nasty_names_survive(tree):
    names = [b'a "quoted", name\n.jpg', b"caf\xc3\xa9.jpg", b"caf\xe9.jpg", b" .jpg", b"-.jpg", b"[1].jpg", b"@.jpg"]
    (tree / "sub" / "nasty").mkdir()
    for name in names:
        (tree / "sub" / "nasty" / os.fsdecode(name)).touch()
    paths = found("sub/nasty")
    assert sorted(os.fsencode(path) for path in paths) == sorted(b"sub/nasty/" + name for name in names)
    assert found("sub/nasty/[1].jpg") == ["sub/nasty/[1].jpg"], "a file that exists is no glob"


def test_globs(tree):
    assert found("*.jpg", "sub/*") == ["b.jpg", "sub/deep/x.Tif", "sub/z.jpeg"]
    assert found("**/*.[jw]*p*g") == ["b.jpg", "sub/z.jpeg"]
    assert found(str(tree / "al?o" / "*.webp")) == [str(tree / "also" / "c.webp")]
    assert found("**/x.*") == ["sub/deep/x.Tif"]
    (tree / ".hidden.jpg").touch()
    assert found("*.jpg") == ["b.jpg"]
    assert found(".*.jpg") == [".hidden.jpg"]


def test_a_list_keeps_its_order_and_its_missing_files(tree, monkeypatch):
    listed = b"\xef\xbb\xbfsub/z.jpeg\r\nmissing.jpg\n\nnotes.txt\nsub/z.jpeg\ncaf\xe9.png"
    (tree / "list").write_bytes(listed)
    expected = ["sub/z.jpeg", "missing.jpg", "notes.txt", "caf\udce9.png"]
    assert found("@list") == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed)))
    assert found("-") == expected


def test_a_list_may_be_separated_by_nuls(tree):
    (tree / "list").write_bytes(b"two\nlines.jpg\0b.jpg\0")
    assert found("@list") == ["two\nlines.jpg", "b.jpg"]


def test_a_list_longer_than_a_block(tree):
    names = [f"face-{number:06}.jpg" for number in range(20_000)]
    (tree / "list").write_text("\n".join(names))
    assert found("@list", "@list") == names


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "no input"),
        (["nowhere"], "'nowhere' does not exist"),
        (["a.PNG", "tpyo.jpg"], "'tpyo.jpg' does not exist"),
        (["*.bmp"], "nothing matches '\\*.bmp'"),
        (["@nolist"], "the list 'nolist' is not a file"),
        (["@sub"], "the list 'sub' is not a file"),
    ],
)
def test_an_input_that_is_not_there_is_refused_at_once(tree, inputs, message):
    with pytest.raises(ValueError, match=message):
        ImageFiles(inputs)


def test_a_folder_that_cannot_be_listed_is_reported_and_left_out(tree, monkeypatch, caplog):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("also"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    files = ImageFiles(["."])
    with caplog.at_level(logging.WARNING):
        assert len(list(files)) == 4
    assert files.unlistable == ["./also"]
    assert "./also" in caplog.text and "Permission denied" in caplog.text


def test_nothing_is_listed_before_it_is_wanted(tree, monkeypatch):
    listed = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or real(path))
    paths = iter(ImageFiles(["."]))
    next(paths)
    assert listed == ["."]


def test_a_path_set_knows_what_it_was_given(monkeypatch):
    monkeypatch.setattr("fer_fast.inputs.seen._RECENT", 8)
    digests = KeySet()
    assert not digests
    values = [value * 2**58 + 7 for value in range(50)]
    assert all(digests.add(value) for value in values)
    assert not any(digests.add(value) for value in values)
    assert len(digests) == 50 and 6 not in digests and values[3] in digests


def test_a_missing_or_odd_name_in_a_list_is_an_input_though_its_folder_was_searched(tree):
    (tree / "list").write_text("b.jpg\nmissing.jpg\nalso/gone.webp\nnotes.txt\nsub/z.jpeg\n")
    assert found(".", "@list")[5:] == ["missing.jpg", "also/gone.webp", "notes.txt"]


def test_a_named_file_is_an_input_though_its_folder_cannot_be_listed(tree, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("also"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "also/c.webp" in found(".", "also/c.webp")
    assert "also/c.webp" in found("also", "also/c.webp")


def test_files_that_are_not_called_as_images_are_counted_by_suffix(tree):
    for name in ("photo.CR2", "sub/other.cr2", "Makefile", ".hidden"):
        (tree / name).touch()
    files = ImageFiles(["."])
    assert len(list(files)) == 5
    assert files.skipped == {".txt": 2, ".cr2": 2, "": 2}


def test_suffixes_without_end_are_counted_in_bounded_memory(tree):
    for number in range(70):
        (tree / f"part.{number:03}").touch()
    files = ImageFiles(["."])
    list(files)
    assert files.skipped["others"] > 20 and len(files.skipped) == 51 and files.skipped.total() == 72


@pytest.mark.parametrize("table", ["sub/out.csv", "./also/../sub/out.csv", "shortcut/out.csv"])
@pytest.mark.parametrize("named", ["sub/*", "s*/*", "**/*", ".", "sub", "sub/out.csv.partial"])
def test_a_table_that_is_written_is_none_of_its_inputs(tree, table, named):
    (tree / "shortcut").symlink_to("sub")
    before = [*ImageFiles([named])] if "partial" not in named else []
    (tree / "sub" / "out.csv.partial").mkdir()
    for name in ("out.csv", "out.csv.manifest", "out.csv.partial/a.png"):
        (tree / "sub" / name).touch()
    files = ImageFiles([named])
    assert len([*files]) > len(before), "what lies there is an input, unless it is left out"
    files = ImageFiles([named])
    files.leave_out(table)
    assert [*files] == before


def test_what_is_only_called_as_a_table_stays_an_input(tree):
    (tree / "sub" / "out.csv.png").touch()
    files = ImageFiles(["sub/o*"])
    files.leave_out("sub/out.csv")
    assert [*files] == ["sub/out.csv.png"]


def keys(*inputs, **options):
    return {item.path: item.key for item in ImageFiles(inputs, **options).items()}


def test_a_file_has_one_key_however_it_is_named(tree, monkeypatch):
    (tree / "shortcut").symlink_to("sub")
    (tree / "list").write_text("shortcut/z.jpeg\n")
    ways = [
        ("sub/z.jpeg",),
        ("./sub//z.jpeg",),
        ("shortcut/z.jpeg",),
        ("s*/z.jpeg",),
        ("@list",),
        (str(tree / "sub/z.jpeg"),),
    ]
    found_keys = {key for way in ways for key in keys(*way).values()}
    monkeypatch.chdir(tree / "sub" / "deep")
    assert found_keys == set(keys("../z.jpeg").values()) and len(found_keys) == 1


def test_files_of_one_name_in_two_folders_have_two_keys(tree, monkeypatch):
    (tree / "other").mkdir()
    (tree / "other" / "z.jpeg").touch()
    monkeypatch.chdir(tree / "sub")
    here = keys("z.jpeg")
    monkeypatch.chdir(tree / "other")
    assert here != keys("z.jpeg")
    assert len(set(keys("..").values())) == 6


@pytest.mark.parametrize(
    ("inputs", "called", "names"),
    [
        (["sub"], ["./sub/"], ["./sub/z.jpeg", "./sub/deep/x.Tif"]),
        (["./sub//"], ["sub"], ["sub/z.jpeg", "sub/deep/x.Tif"]),
        (["a.PNG", "also"], ["/x/a.PNG", "/x/also"], ["/x/a.PNG", "/x/also/c.webp"]),
        (["*.PNG"], ["./*.PNG"], ["./a.PNG"]),
        (["./s?b/*"], ["s?b/*"], ["s?b/z.jpeg", "sub/deep/x.Tif"]),
    ],
)
def test_names_begin_as_the_inputs_were_called(tree, inputs, called, names):
    items = list(ImageFiles(inputs, called).items())
    assert sorted(item.name for item in items) == sorted(name.replace("s?b/z", "sub/z") for name in names)
    assert all(os.path.exists(item.path) for item in items)  # noqa: PTH110


def test_inputs_are_the_same_from_anywhere(tree, monkeypatch):
    (tree / "shortcut").symlink_to("sub")
    (tree / "list").touch()
    here = [absolute(entry) for entry in ("sub", "./sub/", "shortcut", "s?b/*.jpg", "@list", "-")]
    assert here[0] == here[1] == here[2] == str(tree.resolve() / "sub")
    assert here[3] == str(tree.resolve() / "s?b" / "*.jpg") and here[4] == f"@{tree.resolve()}/list" and here[5] == "-"
    monkeypatch.chdir(tree / "sub")
    assert [absolute(entry) for entry in (".", "../sub", "../shortcut/", "../s?b/*.jpg", "@../list", "-")] == here


@pytest.mark.parametrize(
    ("pattern", "folder", "reached"),
    [
        ("photos/*.jpg", "photos", True),
        ("photos/*.jpg", "photos/drawn", False),
        ("photos/*", "photos/drawn/new", True),  # the folder is searched
        ("photos/*", "photos/.drawn", False),
        ("photos/**/*.jpg", "photos/a/b", True),
        ("photos/**", "photos", True),
        ("photos/*/a/*.jpg", "photos/1/a", True),
        ("photos/*/a/*.jpg", "photos/1/b", False),
        ("*.jpg", "drawn", False),
        ("*.jpg", ".", True),
        ("photos/*.jpg", "elsewhere", False),
    ],
)
def test_what_a_glob_reaches(tmp_path, monkeypatch, pattern, folder, reached):
    monkeypatch.chdir(tmp_path)
    assert reaches(pattern, folder) == reached
    assert reaches(str(tmp_path / pattern), folder) == reaches(pattern, str(tmp_path / folder)) == reached


def test_slashes_in_globs_change_no_name(tree):
    (tree / "ca.PNG").touch()
    for called, now in [("./*.PNG", ".//*.PNG"), (".//*.PNG", "./*.PNG"), ("./*.PNG", "././/*.PNG")]:
        assert [item.name for item in ImageFiles([now], [called]).items()] == ["./a.PNG", "./ca.PNG"]
    assert absolute(".//s?b//*.x") == absolute("./s?b/*.x") == str(tree.resolve() / "s?b" / "*.x")


def test_a_link_that_leads_to_itself_hides_nothing_from_a_glob(tree):
    (tree / "loop").symlink_to("loop")
    (tree / "sub" / "loop").symlink_to("loop")
    assert found("**/*.[jT]*") == ["b.jpg", "sub/z.jpeg", "sub/deep/x.Tif"]
    assert found("*/z.jpeg") == ["sub/z.jpeg"]


def test_folders_that_a_glob_cannot_read_are_told(tree, monkeypatch, caplog):
    real = os.scandir

    def scandir(path):
        if str(path).startswith("also"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for glob in ("**/*.*", "*/*"):
        files = ImageFiles([glob])
        list(files)
        assert files.unlistable == ["also/"]
    assert caplog.text.count("the folder 'also/' is left out: Permission denied") == 2
    with pytest.raises(ValueError, match=r"nothing matches 'al\*/c\*'; not read was 'also/': Permission denied"):
        ImageFiles(["al*/c*"])


def test_a_glob_finds_what_is_nested_deeper_than_calls(tree, monkeypatch):
    deep = 1200
    with monkeypatch.context() as there:
        there.chdir("sub")
        for _ in range(deep):
            os.mkdir("d")  # noqa: PTH102 (its path is longer than any may be)
            os.chdir("d")
    try:
        assert found("sub/**/*.Tif") == ["sub/deep/x.Tif"]
    finally:  # pytest would take it away by recursion
        subprocess.run(["rm", "-rf", tree / "sub" / "d"], check=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("face.jpg\n".encode("utf-16"), "is in UTF-16: write it in UTF-8"),
        (b"\xfe\xff\0f\0a", "is in UTF-16"),
        (b"x" * 200_000, "is no list: it has a line of more than 65536 bytes"),
    ],
)
def test_what_is_no_list_is_told(tree, content, message):
    (tree / "list").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        found("@list")


def test_a_file_system_without_inodes_is_searched(tree, monkeypatch):
    real = os.stat

    def stat(path, *arguments, **options):
        status = real(path, *arguments, **options)
        return os.stat_result((*status[:1], 0, *status[2:]), {})

    monkeypatch.setattr(os, "stat", stat)
    assert len(found(".")) == 5


def test_who_writes_a_list_may_take_its_time():
    pulse, seen = Pulse(), []

    class List(io.BytesIO):
        def read(self, size=-1):
            seen.append(pulse.is_outside)
            return super().read(size)

    assert list(listed(List(b"a\nb"), "-", pulse)) == ["a", "b"] and seen == [True] * 2 and not pulse.is_outside
