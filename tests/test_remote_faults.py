"""What drivers of stores raise, told apart without any of them: what stays, what passes, and what ended."""

from __future__ import annotations

import errno

import pytest

from fer_fast.remote import faults, trying
from fer_fast.types import DecodeError, MissingExtraError, Status


class DriverError(Exception):
    """One as drivers have it: HTTP's status stands somewhere in it."""

    def __init__(self, words="", **attributes):
        super().__init__(words)
        self.__dict__.update(attributes)


def caused(error, cause):
    error.__cause__ = cause
    return error


def _botocore(code, words=""):
    answer = {"ResponseMetadata": {"HTTPStatusCode": code}, "Error": {"Code": words}}
    return DriverError(words, response=answer)


@pytest.mark.parametrize(
    ("error", "status", "passes"),
    [
        (FileNotFoundError("b/x"), Status.UNREADABLE, False),
        (PermissionError("AccessDenied"), Status.UNREADABLE, False),
        (PermissionError("The provided token has expired."), Status.FAILED, False),
        (caused(OSError(errno.EINVAL, "Bad Request"), _botocore(400, "ExpiredToken")), Status.FAILED, False),
        (caused(OSError(errno.EBUSY, "SlowDown"), _botocore(503)), Status.FAILED, True),
        (caused(OSError(errno.EREMCHG, "PermanentRedirect"), _botocore(301)), Status.FAILED, True),
        (DriverError("Unable to locate credentials"), Status.FAILED, False),
        (DriverError("Throttled, of 12 credentials", status_code=503), Status.FAILED, True),
        (DriverError("gone", code="404"), Status.UNREADABLE, False),
        (DriverError("no", response=DriverError(status_code=403)), Status.UNREADABLE, False),
        (DriverError("what?", status=418), Status.UNREADABLE, False),
        (TimeoutError(), Status.FAILED, True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Status.FAILED, True),
        (MissingExtraError("install it"), Status.UNSUPPORTED, False),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"), Status.UNREADABLE, False),
        (MemoryError(), Status.FAILED, False),
    ],
)
def test_what_drivers_raise_is_told_apart(error, status, passes):
    fault = faults.fault_of(error)
    assert (fault.status, isinstance(fault, faults.PassingError)) == (status, passes), fault
    assert str(fault) and "\n" not in str(fault)


def test_a_decode_error_is_raised_as_it_is():
    error = DecodeError(Status.TOO_LARGE, "large", again=True)
    assert faults.fault_of(error) is error


def test_work_is_tried_until_it_is_done_or_stopped():
    waited = []

    class Stopping:
        def wait(self, seconds):
            waited.append(seconds)
            return len(waited) == 6

    came = []

    def work():
        came.append(len(came))
        if len(came) < 4:
            raise TimeoutError
        return "done"

    assert trying.tried(work, Stopping()) == "done"
    assert [pause / 2 <= seconds <= pause for seconds, pause in zip(waited, trying.PAUSES, strict=False)] == [True] * 3
    waited.clear()
    with pytest.raises(faults.PassingError):
        trying.tried(lambda: 1 / 0, Stopping())
    assert len(waited) == len(trying.PAUSES)
    waited[:] = [0.0] * 5
    with pytest.raises(faults.PassingError):
        trying.tried(lambda: 1 / 0, Stopping())
    assert len(waited) == 6
