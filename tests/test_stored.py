"""Tables in object stores: whole, or to be resumed from any machine, or not there, whatever fails or is killed."""

from __future__ import annotations

import errno
import signal

import command_runs
import pytest
from shades import ShadeClassifier, save_shade
from tables import read

from fer_fast import classify_folder, cli, merge_tables
from fer_fast.remote import trying
from fer_fast.table import parts
from fer_fast.table.stored import StoredTable
from fer_fast.types import OutputRefusedError

FILES = 12
OUT = "memory://bucket/runs/out.csv"


class ClientError(Exception):
    """As botocore has it."""

    def __init__(self, status, words):
        super().__init__(words)
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": words}}


@pytest.fixture
def faces(tmp_path):
    (tmp_path / "faces").mkdir()
    for number in range(FILES):
        save_shade(tmp_path / "faces" / f"{number:02}.png", number)
    return tmp_path / "faces"


@pytest.fixture
def store(monkeypatch, tmp_path):
    """fsspec's store in memory. Its `faults` become of the next things that are put; `put` has all names that were."""
    import fsspec

    monkeypatch.setattr(trying, "PAUSES", (0.0,) * len(trying.PAUSES))
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    put_file = type(memory).put_file
    faults, names = [], []

    def put(self, path, name, **options):
        names.append(name)
        fault = faults.pop(0) if faults else None
        if isinstance(fault, BaseException):
            raise fault
        put_file(self, path, name, **options)
        if fault == "cut":
            self.store[name].seek(0)
            self.store[name].truncate(1)

    monkeypatch.setattr(type(memory), "put_file", put)
    memory.faults, memory.put = faults, names
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def there(store):
    return {name: bytes(file.getvalue()) for name, file in store.store.items()}


def other_machine(monkeypatch, tmp_path, name="elsewhere"):
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / name))


def working_copy():
    folder = StoredTable(OUT).folder
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_in_a_store_is_that_of_a_disk(suffix, store, faces, tmp_path, ended):
    url, place = OUT.replace(".csv", suffix), tmp_path / f"out{suffix}"
    assert ended(faces, "-o", place)[0] == 0
    status, _, said = ended(faces, "-o", url)
    assert status == 0 and f"{FILES} rows in {url}" in said
    assert there(store)[f"/bucket/runs/out{suffix}"] == place.read_bytes()
    assert {*there(store)} == {f"/bucket/runs/out{suffix}", f"/bucket/runs/out{suffix}.manifest"}
    assert [name for name in store.put if ".partial" not in name] == [*there(store)], "the manifest is the last"
    assert sum("/part-" in name for name in store.put) >= FILES // ShadeClassifier.batch_size


def test_python_writes_there_too(store, faces):
    assert classify_folder(faces, OUT, classifier=ShadeClassifier()).out == OUT
    assert len(there(store)) == 2 and working_copy() == []


def test_resume_classifies_what_is_new_and_sends_nothing_where_nothing_is(store, faces, tmp_path, ended, monkeypatch):
    assert ended(faces, "-o", OUT)[0] == 0
    before = there(store)
    other_machine(monkeypatch, tmp_path)
    store.put.clear()
    status, _, said = ended(faces, "-o", OUT, "--resume")
    assert status == 0 and "nothing was classified" in said and there(store) == before
    assert not [name for name in store.put if ".partial" not in name]
    save_shade(faces / "99.png", 99)
    status, _, said = ended(faces, "-o", OUT, "--resume")
    assert status == 0 and f"{FILES} of them kept" in said
    assert ended(faces, "-o", tmp_path / "whole.csv")[0] == 0
    assert there(store)["/bucket/runs/out.csv"] == (tmp_path / "whole.csv").read_bytes()
    assert "out.csv is there: this run will replace it" in ended(faces, "-o", OUT)[2]


@pytest.mark.parametrize("fault", ["cut", ClientError(503, "SlowDown"), TimeoutError(), ConnectionResetError()])
def test_what_passes_is_tried_again(fault, store, faces, tmp_path, ended):
    assert ended(faces, "-o", tmp_path / "out.csv")[0] == 0
    store.faults[:] = [None, None, fault, fault, None, fault]
    assert ended(faces, "-o", OUT)[0] == 0 and not store.faults
    assert there(store)["/bucket/runs/out.csv"] == (tmp_path / "out.csv").read_bytes()
    assert len(there(store)) == 2


@pytest.mark.parametrize("after", [2, 4])
def test_credentials_that_expire_end_the_run_and_resume_sends_the_rest(after, store, faces, tmp_path, ended):
    assert ended(faces, "-o", tmp_path / "whole.csv")[0] == 0
    store.faults[:] = [None] * after + [ClientError(400, "ExpiredToken")] * 30
    status, _, said = ended(faces, "-o", OUT)
    assert status == 1 and f"the output '{OUT}' cannot be written: the credentials do not hold: ExpiredToken" in said
    assert "go on with --resume" in said and said.count("\n") == 1, said
    assert "/bucket/runs/out.csv" not in there(store)
    assert len(store.put) == after + 1  # not once more for each part
    store.faults.clear()
    assert ended(faces, "-o", OUT)[0] == 2
    kept = len([*StoredTable(OUT).folder.glob("out.csv.partial/part-*")])
    sent = {name for name in there(store) if "/part-" in name}
    store.put.clear()
    status, _, said = ended(faces, "-o", OUT, "--resume")
    assert status == 0 and kept > len(sent) and "of them kept" in said
    assert there(store)["/bucket/runs/out.csv"] == (tmp_path / "whole.csv").read_bytes()
    assert not sent & {*store.put} and len({*store.put}) == len(store.put) and len(there(store)) == 2


def test_credentials_may_expire_before_anything_is_sent(store, faces, tmp_path, ended):
    assert ended(faces, "-o", tmp_path / "whole.csv")[0] == 0
    number, status = 1, 1
    while status:
        store.put.clear()
        store.faults[:] = [None] * number + [ClientError(400, "ExpiredToken")] * 30
        status = ended(faces, "-o", OUT)[0]
        assert status == 1 or len(store.put) <= number
        assert status == 0 or "/bucket/runs/out.csv.manifest" not in there(store)
        store.faults.clear()
        assert ended(faces, "-o", OUT, "--resume")[0] == 0
        assert there(store).pop("/bucket/runs/out.csv") == (tmp_path / "whole.csv").read_bytes(), number
        assert len(there(store)) == 2 and working_copy() == []
        store.store.clear()
        number += 1
    assert number > 6


def test_what_another_machine_has_done_counts_before_what_is_here(store, faces, tmp_path, ended, monkeypatch):
    assert ended(faces, "-o", tmp_path / "whole.csv")[0] == 0
    store.faults[:] = [None] * 3 + [ClientError(400, "ExpiredToken")] * 30
    assert ended(faces, "-o", OUT)[0] == 1
    store.faults[:] = [None] * 4 + [ClientError(400, "ExpiredToken")] * 30
    other_machine(monkeypatch, tmp_path)
    assert ended(faces, "-o", OUT, "--resume")[0] == 1
    store.faults.clear()
    other_machine(monkeypatch, tmp_path, "cache")
    table = StoredTable(OUT)
    with table.held():
        table.take(keep=True)
        here = {path.read_bytes() for path in table.folder.glob("out.csv.partial/part-*")}
    assert here == {content for name, content in there(store).items() if "/part-" in name}
    assert ended(faces, "-o", OUT, "--resume")[0] == 0
    assert there(store)["/bucket/runs/out.csv"] == (tmp_path / "whole.csv").read_bytes() and len(there(store)) == 2


def test_a_part_that_the_store_has_damaged_is_made_again(store, faces, tmp_path, ended, monkeypatch):
    store.faults[:] = [None] * 4 + [ClientError(400, "ExpiredToken")] * 30
    assert ended(faces, "-o", OUT)[0] == 1
    store.faults.clear()
    name = next(name for name in there(store) if "/part-" in name)
    store.store[name].seek(200)
    store.store[name].write(b"?")
    other_machine(monkeypatch, tmp_path)
    status, _, said = ended(faces, "-o", OUT, "--resume")
    assert status == 0 and f"{OUT}.partial/{name.rpartition('/')[2]} is damaged" in said
    assert [round(row["p_neutral"] * 255) for row in _rows(store, tmp_path)] == [*range(FILES)]


def _rows(store, folder):
    (folder / "fetched.csv").write_bytes(there(store)["/bucket/runs/out.csv"])
    return read(folder / "fetched.csv")


def test_a_run_that_has_no_rows_leaves_nothing(store, faces, ended):
    status = ended(faces, "-o", OUT, fail_at=0)[0]
    assert status == 1 and not there(store)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (FileNotFoundError("The specified bucket does not exist"), "there is no such bucket"),
        (PermissionError("Access Denied"), "it is forbidden: Access Denied"),
        (ClientError(403, "InvalidAccessKeyId"), "it is forbidden: InvalidAccessKeyId"),
        (Exception("Unable to locate credentials"), "the credentials do not hold: Unable to locate credentials"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "[Errno 113] No route to host"),
    ],
)
def test_a_place_where_nothing_can_be_put_is_refused_before_the_run(fault, words, store, faces, ended, monkeypatch):
    monkeypatch.setattr("fer_fast.pipeline.opening._open", lambda options: pytest.fail("a model was loaded"))
    store.faults[:] = [fault] * 5
    status, _, said = ended(faces, "-o", OUT)
    assert status == 2 and f"the output '{OUT}' cannot be written: {words}" in said and said.count("\n") == 1, said
    assert not there(store) and working_copy() == []


def test_a_place_where_nothing_can_be_removed_is_refused_before_the_run(store, faces, ended, monkeypatch):
    def forbidden(self, path):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(store), "rm_file", forbidden)
    status, _, said = ended(faces, "-o", OUT)
    assert status == 2 and f"the output '{OUT}' cannot be written: it is forbidden: Access Denied" in said


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("https://host/out.csv", "'https://host/out.csv' is in no object store (s3://, gs://, az://)"),
        ("az://bucket/out.csv", "az:// needs a package that is not there"),
        ("file:///tmp/out.csv", "is in no object store"),
        ("hf://datasets/a/b/out.csv", "is in no object store"),
        ("memory://bucket", "'memory://bucket' must name a table in a bucket, such as memory://bucket/table.csv"),
        ("memory://bucket/runs/", "must name a table in a bucket"),
        ("memory://bucket/out.txt", "the output 'memory://bucket/out.txt' must end in .csv, .jsonl or .parquet"),
    ],
)
def test_what_is_no_place_is_refused(out, words, store, faces, ended):
    status, _, said = ended(faces, "-o", out)
    assert status == 2 and words in said and said.count("\n") == 1, said
    assert not there(store)


def test_the_table_is_not_made_of_itself(store, faces, ended):
    assert ended(faces, "-o", OUT)[0] == 0
    before = there(store)
    for entry in (OUT, f"@{OUT}"):
        status, _, said = ended(entry, "-o", OUT)
        assert status == 2 and f"the output {OUT!r} is the input {entry!r}: choose another" in said
    with pytest.raises(OutputRefusedError, match=f"the output '{OUT}' is a table that is to be merged"):
        merge_tables([OUT], OUT)
    with pytest.raises(ValueError, match=f"the table '{OUT}' is named twice"):
        merge_tables([OUT, OUT], "merged.csv")
    assert there(store) == before


def test_another_run_and_a_second_one_are_refused_by_the_url(store, faces, ended):
    store.faults[:] = [None] * 3 + [ClientError(400, "ExpiredToken")] * 30
    assert ended(faces, "-o", OUT)[0] == 1
    store.faults.clear()
    status, _, said = ended(faces, "-o", OUT)
    assert status == 2 and f"an unfinished run is in '{OUT}.partial': go on with --resume, or remove it" in said
    status, _, said = ended(faces, "-o", OUT, "--resume", "--abstain", "0.5")
    assert status == 2 and f"'{OUT}.partial' cannot be resumed: it is of a run with abstain 0.0, not 0.5" in said
    with StoredTable(OUT).held():
        status, _, said = ended(faces, "-o", OUT, "--resume")
    assert status == 2 and f"another run on this machine has '{OUT}'" in said


def test_shards_in_a_store_become_one_there(store, faces, tmp_path, ended, capsys):
    urls = [f"memory://bucket/runs/{number}.csv" for number in (1, 2, 3)]
    for number, url in enumerate(urls, 1):
        assert ended(faces, "-o", url, "--shard", f"{number}/3")[0] == 0
        assert ended(faces, "-o", tmp_path / f"{number}.csv", "--shard", f"{number}/3")[0] == 0
    assert cli.run(["merge", *urls[:2], "-o", OUT]) == 2
    assert "shard 3 of 3 is missing" in capsys.readouterr().err and "/bucket/runs/out.csv" not in there(store)
    assert cli.run(["merge", *urls, "-o", urls[0]]) == 2
    assert f"the output {urls[0]!r} is a table that is to be merged" in capsys.readouterr().err
    assert cli.run(["merge", urls[0], "memory://bucket/none.csv", "-o", OUT]) == 2
    assert "there is no table 'memory://bucket/none.csv'" in capsys.readouterr().err
    merge_tables([tmp_path / f"{number}.csv" for number in (1, 2, 3)], tmp_path / "whole.csv")
    assert merge_tables(urls, OUT).out == OUT
    assert there(store)["/bucket/runs/out.csv"] == (tmp_path / "whole.csv").read_bytes()
    assert not [name for name in there(store) if ".partial" in name]
    status, _, said = ended(faces, "-o", OUT, "--resume")
    assert status == 0 and "nothing was classified" in said, said


@pytest.fixture
def forking():
    with command_runs.forking() as run:
        yield run


def rows_there(out):
    """Rows of finished files: of the table, and of parts of an unfinished run."""
    folder = out.with_name("out.csv.partial")
    of_run = folder.glob("part-*") if (folder / "manifest.json").exists() else ()
    rows = len(read(out)) if out.exists() else 0
    return rows + sum(len(parts.PartFile(path).index().rows) for path in of_run)


@pytest.mark.parametrize("begins", ["anew", "with a finished table"])
@pytest.mark.parametrize("goes_on", ["here", "elsewhere"])
def test_a_kill_before_any_change_of_the_store_loses_and_tears_nothing(begins, goes_on, faces, tmp_path, forking):
    (tmp_path / "store" / "bucket").mkdir(parents=True)
    base = {"SHADE_PART_SECONDS": "0", "SHADE_STORE": str(tmp_path / "store")}
    out = tmp_path / "store" / "bucket" / "out.csv"

    def run(name, *more, **environment):
        environment = {**base, "FER_FAST_CACHE": str(tmp_path / name), **environment}
        return forking(["classify", "faces", "-q", *more], tmp_path, **environment)

    assert run("here", "-o", tmp_path / "whole.csv") == 0
    wholes, finished = {(tmp_path / "whole.csv").read_bytes()}, {}
    if begins != "anew":
        assert run("here", "-o", "gs://bucket/out.csv") == 0
        finished = {path.name: path.read_bytes() for path in out.parent.iterdir()}
        for number in range(FILES, FILES + 6):
            save_shade(faces / f"{number:02}.png", number)
        assert run("here", "-o", tmp_path / "whole.csv") == 0
    whole = (tmp_path / "whole.csv").read_bytes()
    wholes.add(whole)
    number = status = -signal.SIGKILL
    for number in range(100):
        for path in out.parent.rglob("*"):
            if path.is_file():
                path.unlink()
        for name, content in finished.items():
            (out.parent / name).write_bytes(content)
        where = f"cache{number}"
        status = run(where, "-o", "gs://bucket/out.csv", "--resume", SHADE_STORE_KILLS=str(number))
        assert status in (0, -signal.SIGKILL)
        assert not out.exists() or out.read_bytes() in wholes
        missing = max(0, len(read(tmp_path / "whole.csv")) - rows_there(out))
        tells = tmp_path / f"tells{number}"
        again = where if goes_on == "here" else f"other{number}"
        assert run(again, "-o", "gs://bucket/out.csv", "--resume", SHADE_TELLS=str(tells)) == 0
        assert out.read_bytes() == whole, f"killed before change {number}"
        batches = tells.read_text().count("begun") if tells.exists() else 0
        assert batches <= missing, f"killed before change {number}"
        assert {path.name for path in out.parent.iterdir()} == {"out.csv", "out.csv.manifest"}
        if status == 0:
            break
    assert status == 0 and number > 8
