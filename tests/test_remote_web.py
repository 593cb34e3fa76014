"""Files on the web: a row each, read ahead in bounded memory, through what servers do to those who read from them."""

from __future__ import annotations

import io
import threading
from functools import partial

import pytest
from PIL import Image
from shades import ShadeClassifier
from tables import read
from web_store import web_store

from fer_fast.decode.limits import limits_of
from fer_fast.pipeline import classify_folder, fetching
from fer_fast.remote import trying, web

COUNT = 40


def shade(value, side=8):
    content = io.BytesIO()
    Image.new("L", (side, side), value).save(content, "PNG", compress_level=0)
    return content.getvalue()


@pytest.fixture
def web_files(monkeypatch):
    """Forty images of the shades 0 to 39; who fails is asked again at once."""
    monkeypatch.setattr(trying, "PAUSES", (0.0,) * len(trying.PAUSES))
    with web_store() as store:
        store.files = {f"{number:02}.png": shade(number) for number in range(COUNT)}
        yield store


@pytest.fixture
def ended(ended):
    """Without the first look, which asks for some images once more."""
    return partial(ended, "--quiet")


@pytest.fixture
def listed(web_files, tmp_path):
    """A list of them."""
    place = tmp_path / "list.txt"
    place.write_text("".join(web_files.url(name) + "\n" for name in sorted(web_files.files)))
    return f"@{place}"


def shades_in(table):
    return {row["path"].rpartition("/")[2]: round(row["p_neutral"] * 255) for row in read(table) if row["p_neutral"]}


def statuses(table):
    return {row["path"].rpartition("/")[2]: row["status"] for row in read(table)}


EXPECTED = {f"{number:02}.png": number for number in range(1, COUNT)}


def test_a_row_for_each_address_in_the_lists_order(web_files, listed, tmp_path, ended):
    status, _, _ = ended(listed, "-o", tmp_path / "out.csv")
    rows = read(tmp_path / "out.csv")
    assert status == 0 and [row["path"] for row in rows] == [web_files.url(f"{each:02}.png") for each in range(COUNT)]
    assert shades_in(tmp_path / "out.csv") == EXPECTED
    assert set(web_files.asked.values()) == {1} and web_files.most <= fetching.CONNECTIONS


@pytest.mark.parametrize("fault", [500, 503, 429, 408, ("cut", 50), ("cut", 0)])
def test_a_passing_fault_is_tried_again(fault, web_files, listed, tmp_path, ended):
    for number in range(0, COUNT, 3):
        web_files.faults[f"{number:02}.png"].extend([fault] * 2)
    status, _, _ = ended(listed, "-o", tmp_path / "out.csv", "--strict")
    assert status == 0 and shades_in(tmp_path / "out.csv") == EXPECTED
    assert web_files.asked["03.png", "GET"] == 3


def test_a_fault_that_stays_is_a_failed_row_that_is_retried(web_files, listed, tmp_path, ended):
    web_files.faults["07.png"].extend([503] * (len(trying.PAUSES) + 1))
    web_files.faults["08.png"].extend([("cut", 9)] * (len(trying.PAUSES) + 1))
    out = tmp_path / "out.csv"
    assert ended(listed, "-o", out)[0] == 0
    errors = {row["path"][-6:]: row["error"] for row in read(out) if row["status"] == "failed"}
    assert [*errors] == ["07.png", "08.png"] and errors["07.png"].startswith("HTTP 503")
    assert web_files.asked["07.png", "GET"] == len(trying.PAUSES) + 1
    before = web_files.asked.copy()
    assert ended(listed, "-o", out, "--retry-failed", "--strict")[0] == 0 and shades_in(out) == EXPECTED
    assert {name for name, method in web_files.asked - before if method == "GET"} == {"07.png", "08.png"}


def test_what_is_missing_or_forbidden_is_a_row_of_its_own(web_files, listed, tmp_path, ended):
    del web_files.files["03.png"]
    web_files.faults["04.png"].append(403)
    web_files.faults["05.png"].append(410)
    web_files.words[403] = "<Code>AccessDenied</Code>"
    out = tmp_path / "out.csv"
    assert ended(listed, "-o", out)[0] == 0
    rows = {row["path"][-6:]: row for row in read(out) if row["status"] != "ok"}
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys(rows, "unreadable")
    assert [rows[f"0{each}.png"]["error"][:22] for each in (3, 4, 5)] == [
        "there is no such file",
        "it is forbidden: HTTP ",
        "there is no such file",
    ]
    assert all(web_files.asked[name, "GET"] == 1 for name in rows)


@pytest.mark.parametrize(
    ("status", "words"), [(403, "Request has expired"), (400, "<Code>ExpiredToken</Code>"), (401, "")]
)
def test_credentials_that_end_in_the_midst_are_failed_rows_that_resume_does_again(
    status, words, web_files, listed, tmp_path, ended
):
    web_files.words[status] = words
    for number in range(20, COUNT):
        web_files.faults[f"{number:02}.png"].append(status)
    out = tmp_path / "out.csv"
    assert ended(listed, "-o", out)[0] == 0
    assert [*statuses(out).values()] == ["ok"] * 20 + ["failed"] * 20
    assert all("the credentials do not hold" in row["error"] for row in read(out)[20:])
    assert ended(listed, "-o", out, "--resume", "--strict")[0] == 0 and shades_in(out) == EXPECTED
    assert all(web_files.asked[f"{number:02}.png", "GET"] == (1 if number < 20 else 2) for number in range(COUNT))


def test_a_slow_body_keeps_nobody_else_from_coming(web_files, listed, tmp_path, ended):
    """The first file's second half comes when all others have been asked for."""
    others = threading.Event()

    def slow(handler):
        body = web_files.files["00.png"]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:20])
        handler.wfile.flush()
        assert others.wait(60)
        handler.wfile.write(body[20:])
        return True

    def last(handler):
        others.set()
        return False

    web_files.faults["00.png"].append(slow)
    web_files.faults["20.png"].append(last)
    assert ended(listed, "-o", tmp_path / "out.csv", "--strict")[0] == 0
    assert shades_in(tmp_path / "out.csv") == EXPECTED


def test_a_server_that_falls_silent_is_left(web_files, listed, tmp_path, ended, monkeypatch):
    monkeypatch.setattr(web, "_SILENCE", 0.2)
    monkeypatch.setattr(trying, "PAUSES", (0.0,) * 1000)  # a slow machine may need some
    end = threading.Event()
    web_files.faults["05.png"].append(lambda handler: end.wait(60))
    assert ended(listed, "-o", tmp_path / "out.csv", "--strict")[0] == 0
    end.set()
    assert shades_in(tmp_path / "out.csv") == EXPECTED and web_files.asked["05.png", "GET"] >= 2


def test_what_was_changed_is_known_by_resume_without_being_read(web_files, listed, tmp_path, ended):
    out = tmp_path / "out.csv"
    ended(listed, "-o", out)
    web_files.files["10.png"] = shade(200)
    del web_files.files["11.png"]
    before = web_files.asked.copy()
    status, _, _ = ended(listed, "-o", out, "--resume")
    assert status == 0 and shades_in(out) == {name: 200 if name == "10.png" else value for name, value in
                                              EXPECTED.items() if name != "11.png"}  # fmt: skip
    assert statuses(out)["11.png"] == "unreadable"
    assert {name for name, method in web_files.asked - before if method == "GET"} == {"10.png", "11.png"}


def test_while_a_server_does_not_answer_resume_holds_to_the_rows(web_files, listed, tmp_path, ended):
    out = tmp_path / "out.csv"
    web_files.faults["04.png"].extend([503] * (len(trying.PAUSES) + 1))
    ended(listed, "-o", out)
    web_files.heads, web_files.words[403] = False, "Request has expired"
    for name in web_files.files:
        web_files.faults[name].extend([503] * 20 if name < "20" else [403] * 2)
    assert ended(listed, "-o", out, "--resume")[0] == 0
    assert shades_in(out) == {name: value for name, value in EXPECTED.items() if value != 4}
    assert statuses(out)["04.png"] == "failed"


@pytest.mark.parametrize("heads", [True, False], ids=["", "signed for GET alone"])
@pytest.mark.parametrize("lengths", [True, False], ids=["", "without lengths"])
def test_whatever_a_server_says_of_its_files_a_second_run_keeps_them(
    heads, lengths, web_files, listed, tmp_path, ended
):
    web_files.heads, web_files.lengths = heads, lengths
    out = tmp_path / "out.csv"
    assert ended(listed, "-o", out, "--strict")[0] == 0 and shades_in(out) == EXPECTED
    asked = web_files.asked.copy()
    assert ended(listed, "-o", out, "--resume", "--strict")[0] == 0 and shades_in(out) == EXPECTED
    assert sum((web_files.asked - asked).values()) == (COUNT if heads else 2 * COUNT)  # looked at, not read


def test_names_that_the_web_gives_are_names_of_files(web_files, tmp_path, ended):
    web_files.files = {"a.png": shade(9), "b%20c.png": shade(10)}
    inputs = [web_files.url(name) for name in ("a.png?size=1&x=a/b", "a.png?size=2", "b%20c.png")]
    out = tmp_path / "out.csv"
    assert ended(*inputs, "-o", out, "--strict")[0] == 0
    assert [row["path"] for row in read(out)] == inputs and len(read(out)) == 3


def test_films_and_tars_of_the_web_are_rows_and_are_not_read(web_files, tmp_path, ended):
    names = ("film.mp4", "train.tar", "film.MOV?signed=1")
    out = tmp_path / "out.csv"
    assert ended(*map(web_files.url, names), "-o", out)[0] == 0
    assert [row["status"] for row in read(out)] == ["unsupported"] * 3 and not web_files.asked
    assert read(out)[0]["error"] == "a film is read from a disk alone: copy it to one"


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_what_waits_for_the_decoder_has_an_end(batch, web_files, listed, tmp_path, ended, monkeypatch):
    """Of room for three files as much again is for the one that is next; nothing waits for ever."""
    size = 70_000
    web_files.files = {name: shade(number, 256) for number, name in enumerate(sorted(web_files.files))}
    assert all(65_000 < len(content) < size for content in web_files.files.values())
    held = []
    resize = fetching.Fetching._resize

    def watched(self, *arguments):
        resize(self, *arguments)
        held.append(self._held)

    monkeypatch.setattr(fetching.Fetching, "_resize", watched)
    monkeypatch.setattr(web, "_AT_ONCE", 1000)
    classifier = ShadeClassifier()
    classifier.batch_size = batch
    monkeypatch.setattr(fetching, "_SHARE", classifier.decoder.limits.max_memory // (3 * size))
    summary = classify_folder(listed, tmp_path / "out.csv", classifier=classifier)
    classifier.close()
    assert summary.statuses == {"ok": COUNT} and shades_in(tmp_path / "out.csv") == EXPECTED
    assert 2 * 65_000 < max(held) <= 4 * size


def test_a_file_beyond_the_room_is_too_large_and_costs_no_other(web_files, listed, tmp_path, ended, monkeypatch):
    web_files.files["06.png"] = shade(6, 1200)
    monkeypatch.setattr(fetching, "_SHARE", limits_of(2).max_memory // 1_000_000)
    assert ended(listed, "-o", tmp_path / "out.csv")[0] == 0
    assert statuses(tmp_path / "out.csv")["06.png"] == "too_large"
    assert shades_in(tmp_path / "out.csv") == {name: value for name, value in EXPECTED.items() if value != 6}
