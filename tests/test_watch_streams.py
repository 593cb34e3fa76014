"""Streams of servers of this process: they break off and come again, hang, or name what is not theirs."""

from __future__ import annotations

import io
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from decoding import until
from films import number_in, numbered, save_film
from PIL import Image
from threads_left import threads_left
from watched import Shades, SureFinder, http_server, rtsp_server, until_it_fails

from fer_fast import watch
from fer_fast.live import address

FRAMES = 16
#: Seconds in which a stream is back, however busy the machine; and a run waits for, where it is not.
RECONNECT = 2
Write = Callable[[bytes], Any]


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A second of MPEG-TS, each frame of which says its number."""
    path = tmp_path_factory.mktemp("stream") / "film.ts"
    own = {"x264-params": "log-level=none:threads=1:keyint=4:min-keyint=4:scenecut=0:bframes=0"}
    return save_film(path, FRAMES, rate=FRAMES, options=own).read_bytes()


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shades]:
    monkeypatch.setattr(address, "_FIRST_WAIT", 0.05)
    made = Shades()
    yield made
    made.close()
    until(lambda: not threads_left("fer-fast-source"))


def three_times(stream: bytes) -> Callable[[Write, int], None]:
    """Gives the stream three times, each on a connection of its own; what is asked for then gets nothing."""

    def answer(write: Write, count: int) -> None:
        if count < 3:
            write(stream)

    return answer


def check_three_times(seen: list[Any], said: list[str], name: str, given: int) -> None:
    """`given` frames came each time; the last of them is always looked at, as no newer one takes its place."""
    numbers = [(each.frame, number_in(each.image.rgb())) for each in seen]
    assert all(number == frame % given for frame, number in numbers)
    assert [frame for frame, number in numbers if number == given - 1] == [given - 1, 2 * given - 1, 3 * given - 1]
    assert [frame for frame, _ in numbers] == sorted({frame for frame, _ in numbers})
    assert [each.time for each in seen] == sorted(each.time for each in seen)
    broke, back = f"{name} broke off (it ended): it is tried again for {RECONNECT} s", f"{name} is back after "
    assert [line if line == broke else line[: len(back)] for line in said] == [broke, back, broke, back, broke]


def test_a_stream_of_http_that_breaks_off_comes_again(
    stream: bytes, classifier: Shades, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "fer_fast")
    with http_server(three_times(stream)) as (url, asked):
        named = url.replace("http://", "http://somebody:secret@") + "/live.ts?key=secret"
        watching = watch(named, classifier, finder=SureFinder(160), reconnect=RECONNECT)
        seen, sentence = until_it_fails(watching)
    name = f"{url}/live.ts"
    assert sentence.startswith(f"{name} broke off (")
    assert sentence.endswith(f"), and did not come again within {RECONNECT} s")
    assert len(asked) > 3 and watching.came == 3 * FRAMES == watching.looked + watching.dropped
    check_three_times(seen, caplog.messages, name, FRAMES)


def test_pictures_that_a_camera_sends_one_after_the_other(classifier: Shades) -> None:
    def answer(write: Write, count: int) -> None:
        for number in range(5):
            encoded = io.BytesIO()
            Image.fromarray(numbered(number)).save(encoded, "JPEG", quality=95)
            content = encoded.getvalue()
            write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(content))
            write(content + b"\r\n")

    kind = [("Content-Type", "multipart/x-mixed-replace; boundary=frame")]
    with http_server(answer, kind) as (url, _):
        watching = watch(url, classifier, finder=SureFinder(160), reconnect=0)
        seen, _ = until_it_fails(watching)
    assert watching.came == 5 and [number_in(each.image.rgb()) for each in seen] == [each.frame for each in seen]


def test_a_stream_of_rtsp_that_breaks_off_comes_again(
    stream: bytes, classifier: Shades, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "fer_fast")
    with rtsp_server(three_times(stream)) as url:
        watching = watch(url, classifier, finder=SureFinder(160), reconnect=RECONNECT)
        seen, sentence = until_it_fails(watching)
    assert sentence.startswith(f"{url} broke off (")
    assert sentence.endswith(f"), and did not come again within {RECONNECT} s")
    given = FRAMES - 1  # of MPEG-TS in RTP FFmpeg knows that a frame is whole when the next one begins
    assert watching.came == 3 * given
    check_three_times(seen, caplog.messages, url, given)


def test_a_stream_that_falls_silent_has_broken_off(
    stream: bytes, classifier: Shades, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "fer_fast")
    ended = threading.Event()

    def answer(write: Write, count: int) -> None:
        if count < 2:
            write(stream)
        ended.wait(60)

    with http_server(answer) as (url, asked):
        watching = watch(url, classifier, finder=SureFinder(160), timeout=2, reconnect=3)
        _, sentence = until_it_fails(watching)
        ended.set()
    assert len(asked) >= 3 and watching.came > FRAMES
    assert caplog.messages[0] == f"{url} broke off (it has given nothing for 2 s): it is tried again for 3 s"
    assert re.search(r"broke off \(it has (given nothing|not answered) for 2 s\), and did not come again", sentence)


def test_a_stream_that_broke_off_is_not_tried_again_where_nobody_wants_that(stream: bytes, classifier: Shades) -> None:
    with http_server(lambda write, _: write(stream)) as (url, asked):
        seen, sentence = until_it_fails(watch(url, classifier, finder=SureFinder(160), reconnect=0))
    assert seen and sentence == f"{url} broke off (it ended)" and len(asked) == 1


def test_a_film_on_a_server_has_an_end(stream: bytes, classifier: Shades) -> None:
    length = [("Content-Length", str(len(stream)))]
    with (
        http_server(lambda write, _: write(stream), length) as (url, asked),
        watch(f"{url}/film.ts", classifier, finder=SureFinder(160)) as watching,
    ):
        seen = list(watching)
    assert len(asked) == 1 and watching.came == FRAMES
    assert [number_in(each.image.rgb()) for each in seen] == [each.frame for each in seen]
    assert seen[-1].time - seen[0].time > 0.8, "it is played in its own time"


def test_a_film_on_a_server_that_breaks_off_is_not_begun_anew(stream: bytes, classifier: Shades) -> None:
    length = [("Content-Length", str(len(stream) + 10_000))]
    with http_server(lambda write, _: write(stream), length) as (url, asked):
        seen, sentence = until_it_fails(watch(f"{url}/film.ts", classifier, finder=SureFinder(160)))
    assert seen and sentence.startswith(f"{url}/film.ts broke off (") and len(asked) == 1


@pytest.mark.parametrize("where", ["", "file://{}"])
def test_nothing_that_a_playlist_names_is_opened(where: str, stream: bytes, classifier: Shades, tmp_path: Path) -> None:
    (tmp_path / "film.ts").write_bytes(stream)
    entry = f"{where.format(tmp_path)}/film.ts"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{entry}\n#EXT-X-ENDLIST\n".encode()
    with http_server(lambda write, _: write(playlist)) as (url, asked):
        seen, sentence = until_it_fails(watch(f"{url}/live.m3u8", classifier, finder=SureFinder(160)))
    reason = "it is a playlist, or of another format that is not watched"
    assert not seen and sentence == f"{url}/live.m3u8 cannot be watched: {reason}"
    assert asked == ["/live.m3u8"]


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_who_does_not_answer_is_given_up(scheme: str, classifier: Shades) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/x"
        _, sentence = until_it_fails(watch(url, classifier, finder=SureFinder(160), timeout=0.5))
    assert sentence == f"{url} cannot be watched: it has not answered for 0.5 s"
    _, sentence = until_it_fails(watch(url, classifier, finder=SureFinder(160)))
    assert sentence == f"{url} cannot be watched: Connection refused"


def test_who_does_not_answer_holds_nobody_up(classifier: Shades) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        watching = watch(url, classifier, finder=SureFinder(160), timeout=2)
        assert not watching.wait(0.1)
        watching.close()
        assert list(watching) == []
