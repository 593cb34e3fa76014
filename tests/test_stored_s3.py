"""Tables in S3, by s3fs, against moto's server on the loopback, which gives the answers that a test puts in."""

from __future__ import annotations

import random
import signal
import socket
import threading
import time
from contextlib import suppress

import pytest
from command_runs import forking, started
from shades import save_shade
from tables import read

from fer_fast import cli
from fer_fast.machine.extras import is_installed
from fer_fast.table import parts

pytestmark = pytest.mark.skipif(
    not all(map(is_installed, ("s3fs", "flask", "flask_cors"))), reason="s3fs, flask or flask_cors is not installed"
)

FILES = 12
#: Answers as S3 has them.
ERRORS = {
    "slow down": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    "broken": ("500 Internal Server Error", "InternalError", "We encountered an internal error."),
    "expired": ("400 Bad Request", "ExpiredToken", "The provided token has expired."),
    "forbidden": ("403 Forbidden", "AccessDenied", "Access Denied"),
}


class FaultyServer:
    """An application that answers as another does, but for what is in `faults`.

    Attributes:
        faults: of the next requests: their method, a part of their path, and a key of `ERRORS`, "cut", which takes
            half of the body, or "cut answer", which gives half of it.
        asked: method and path of each request.
    """

    def __init__(self, application):
        self._application = application
        self.faults, self.asked = [], []

    def __call__(self, environment, start):
        method, path = environment["REQUEST_METHOD"], environment["PATH_INFO"]
        self.asked.append((method, path))
        fault = next((each for each in self.faults if each[0] == method and each[1] in path), None)
        if fault is None:
            return self._application(environment, start)
        self.faults.remove(fault)
        if fault[2] in ERRORS:
            status, code, words = ERRORS[fault[2]]
            environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
            start(status, [("Content-Type", "application/xml")])
            return [f"<Error><Code>{code}</Code><Message>{words}</Message></Error>".encode()]
        if fault[2] == "cut":
            self._hang_up(environment)
            return []
        return self._half(environment, b"".join(self._application(environment, start)))

    def _half(self, environment, body):
        yield body[: len(body) // 2]
        self._hang_up(environment)

    @staticmethod
    def _hang_up(environment):
        with suppress(OSError):
            environment["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def server():
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = FaultyServer(DomainDispatcherApplication(create_backend_app))
    web = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    application.address = f"http://127.0.0.1:{web.server_port}"
    yield application
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.fixture
def settings(server, tmp_path):
    """Of the environment."""
    return {
        "AWS_ENDPOINT_URL": server.address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "FER_FAST_CACHE": str(tmp_path / "cache"),
    }


@pytest.fixture
def bucket(server, settings, monkeypatch, request):
    """A bucket's URL; what lies in it is in `lying(bucket)`."""
    import s3fs

    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))
    server.faults.clear()
    name = f"b{abs(hash(request.node.name))}"
    s3fs.S3FileSystem().mkdir(name)
    server.asked.clear()
    return f"s3://{name}"


def lying(bucket):
    import s3fs

    store = s3fs.S3FileSystem(use_listings_cache=False)
    return {name.partition("/")[2]: store.cat_file(name) for name in store.find(bucket)}


@pytest.fixture
def faces(tmp_path):
    (tmp_path / "faces").mkdir()
    for number in range(FILES):
        save_shade(tmp_path / "faces" / f"{number:02}.png", number)
    return tmp_path / "faces"


def test_shards_of_a_bucket_become_one_table_in_it(bucket, faces, tmp_path, ended):
    import s3fs

    s3fs.S3FileSystem().put(str(faces), f"{bucket}/faces", recursive=True)
    assert ended(f"{bucket}/faces", "-o", tmp_path / "whole.parquet")[0] == 0
    urls = [f"{bucket}/{number}.parquet" for number in (1, 2, 3)]
    for number, url in enumerate(urls, 1):
        assert ended(f"{bucket}/faces", "-o", url, "--shard", f"{number}/3")[0] == 0
    assert cli.run(["merge", *urls, "-o", f"{bucket}/out.parquet", "-q"]) == 0
    (tmp_path / "out.parquet").write_bytes(lying(bucket)["out.parquet"])
    by_path = {row["path"]: row for row in read(tmp_path / "out.parquet")}
    assert by_path == {row["path"]: row for row in read(tmp_path / "whole.parquet")} and len(by_path) == FILES
    status, _, said = ended(f"{bucket}/faces", "-o", f"{bucket}/out.parquet", "--resume")
    assert status == 0 and f"{FILES} of them kept" in said
    assert not [name for name in lying(bucket) if ".partial" in name]


@pytest.mark.parametrize("glob", ["*", "**/*"])
def test_a_glob_that_matches_the_table_takes_nothing_of_it(glob, bucket, faces, tmp_path, ended):
    import s3fs

    s3fs.S3FileSystem().put(str(faces), bucket, recursive=True)
    out = f"{bucket}/faces/out.csv"
    for more in ([], ["--resume"], []):  # the second and the third find a finished table
        status, _, said = ended(f"{bucket}/faces/{glob}", "-o", out, *more)
        assert status == 0 and lying(bucket)["faces/out.csv"].count(b"\n") == FILES + 1, said
    s3fs.S3FileSystem().pipe_file(f"{out}.partial/part-00000001.0123", b"a part")
    assert ended(f"{bucket}/faces/{glob}", "-o", out)[0] == 0
    assert lying(bucket)["faces/out.csv"].count(b"\n") == FILES + 1


@pytest.mark.parametrize("kind", ["slow down", "broken", "cut"])
def test_faults_on_the_way_are_tried_again(kind, bucket, server, faces, tmp_path, ended):
    assert ended(faces, "-o", tmp_path / "out.csv")[0] == 0
    server.faults[:] = [("PUT", part, kind) for part in ("probe", "manifest.json", "part-", "out.csv", ".manifest")]
    server.faults.append(("HEAD", "part-", kind))
    status, _, said = ended(faces, "-o", f"{bucket}/out.csv")
    assert status == 0 and not server.faults, said
    found = lying(bucket)
    assert found["out.csv"] == (tmp_path / "out.csv").read_bytes() and {*found} == {"out.csv", "out.csv.manifest"}


def test_a_cut_body_of_what_is_copied_is_tried_again(bucket, server, faces, tmp_path, ended):
    assert ended(faces, "-o", f"{bucket}/out.csv")[0] == 0
    before = lying(bucket)
    server.faults[:] = [
        ("GET", f"out.csv{end}", kind) for end in ("", ".manifest") for kind in ("cut answer", "broken")
    ]
    status, _, said = ended(faces, "-o", f"{bucket}/out.csv", "--resume")
    assert status == 0 and not server.faults and "nothing was classified" in said, said
    assert lying(bucket) == before


def test_credentials_that_expire_in_the_middle_end_the_run_and_resume_goes_on(bucket, server, faces, tmp_path, ended):
    assert ended(faces, "-o", tmp_path / "out.csv")[0] == 0
    server.faults[:] = [("PUT", f"part-{number:08}", "expired") for number in range(2, 9)]
    status, _, said = ended(faces, "-o", f"{bucket}/out.csv")
    assert status == 1 and "the credentials do not hold" in said and "go on with --resume" in said, said
    server.faults.clear()
    sent = {path for method, path in server.asked if method == "PUT" and "/part-" in path}
    server.asked.clear()
    status, _, said = ended(faces, "-o", f"{bucket}/out.csv", "--resume")
    assert status == 0 and lying(bucket)["out.csv"] == (tmp_path / "out.csv").read_bytes()
    again = {path for method, path in server.asked if method == "PUT" and "/part-" in path}
    assert not {path for path in sent & again if not path.rpartition("/")[2].startswith("part-00000002")}


def test_a_place_where_nothing_can_be_put_is_refused_in_a_sentence(bucket, server, faces, ended):
    cases = [
        ("s3://no-such-bucket/out.csv", None, "there is no such bucket"),
        (f"{bucket}/out.csv", "forbidden", "it is forbidden"),
        (f"{bucket}/out.csv", "expired", "the credentials do not hold"),
    ]
    for url, fault, words in cases:
        server.faults[:] = [("PUT", "probe", fault)] if fault else []
        status, _, said = ended(faces, "-o", url)
        assert status == 2 and f"the output {url!r} cannot be written: {words}" in said, said
        assert said.count("\n") == 1 and not server.faults
    assert not lying(bucket)


def test_without_credentials_a_sentence_says_so(bucket, faces, tmp_path):
    nowhere = dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), tmp_path / "none")
    process = started("classify", faces, "-o", f"{bucket}/out.csv", AWS_EC2_METADATA_DISABLED="true", **nowhere)
    _, said = process.communicate()
    assert process.returncode == 2 and "the credentials do not hold: Unable to locate credentials" in said, said


def test_random_kills_lose_double_and_tear_nothing(bucket, settings, faces, tmp_path):
    rng = random.Random("s3")
    whole, kills = tmp_path / "whole.csv", 0
    with forking() as run:
        assert run(["classify", faces, "-o", whole, "-q"], tmp_path) == 0
        begun = time.monotonic()
        assert run(["classify", faces, "-o", f"{bucket}/0.csv", "-q"], tmp_path, **settings) == 0
        length = time.monotonic() - begun
        for number in (1, 2):
            status = None
            while status != 0:
                settings["FER_FAST_CACHE"] = tmp_path / rng.choice(("one", "another"))
                arguments = ["classify", faces, "-o", f"{bucket}/{number}.csv", "--resume", "-q"]
                status = run(arguments, tmp_path, rng.uniform(0.3, 1.5) * length, SHADE_PART_SECONDS=0, **settings)
                assert status in (0, -signal.SIGKILL)
                kills += status != 0
                assert lying(bucket).get(f"{number}.csv", whole.read_bytes()) == whole.read_bytes()
            found = {name for name in lying(bucket) if name.startswith(f"{number}.")}
            assert found == {f"{number}.csv", f"{number}.csv.manifest"}, kills
    assert kills
