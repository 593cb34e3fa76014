"""What a store's driver or a web server raises comes in; the status that a row gets, and whether to try again, go out.

Every driver has errors of its own. What they share are Python's (no such file, no permission), and a status of HTTP's.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from fer_fast.types import DecodeError, MissingExtraError, Status, one_line

#: How errors call HTTP's status: aiohttp's and ours, Azure's, Google's.
_STATUS = ("status", "status_code", "code")
#: What credentials that are no more are told by, whatever the status; of the words in between there are many.
_CREDENTIALS = ("expired", "credential", "invalidtoken", "tokenrefresh")
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_MISSING = (404, 410)
#: Of the client's faults those of the moment: too slow, too early, too many.
_PASSING = (408, 425, 429)


class PassingError(DecodeError):
    """One that the next moment may not have: what the row gets if it stays."""


class MissingError(DecodeError):
    """Nothing is there; of other errors it is not known."""

    def __init__(self) -> None:
        super().__init__(Status.UNREADABLE, "there is no such file")


class CutError(Exception):
    """Other bytes came than were promised, fewer as a rule; None where nobody said how many."""

    def __init__(self, came: int, size: int | None) -> None:
        super().__init__(f"it has not come whole: {came} bytes" + ("" if size is None else f" of {size}"))


def fault_of(error: Exception) -> DecodeError:
    """The error of a row: a `PassingError` where another try is worth it."""
    if isinstance(error, DecodeError):
        return error
    if isinstance(error, MissingExtraError):  # who installs it gets another answer
        return DecodeError(Status.UNSUPPORTED, one_line(error), again=True)
    if isinstance(error, MemoryError):
        return DecodeError(Status.FAILED, "not enough memory to read the file")
    chain = [*_chain(error)]
    status = next((found for each in chain if (found := _status(each)) is not None), None)
    said = " ".join(f"{type(each).__name__} {each}" for each in chain).lower()
    if status == _UNAUTHORIZED or ((status or 400) < 500 and any(word in said for word in _CREDENTIALS)):
        return DecodeError(Status.FAILED, f"the credentials do not hold: {one_line(error)}")
    if isinstance(error, FileNotFoundError) or status in _MISSING:
        return MissingError()
    if isinstance(error, PermissionError) or status == _FORBIDDEN:
        return DecodeError(Status.UNREADABLE, f"it is forbidden: {one_line(error)}")
    if isinstance(error, IsADirectoryError):
        return DecodeError(Status.UNREADABLE, "is a directory")
    if any(isinstance(each, socket.gaierror) and each.errno == socket.EAI_NONAME for each in chain):
        return DecodeError(Status.UNREADABLE, f"there is no such host: {one_line(error)}")
    if status is not None and 400 <= status < 500 and status not in _PASSING:
        return DecodeError(Status.UNREADABLE, one_line(error))
    if isinstance(error, ValueError):  # no URL, or a name that cannot be one
        return DecodeError(Status.UNREADABLE, f"no file can have this name: {one_line(error)}")
    return PassingError(Status.FAILED, one_line(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came of, a few: drivers translate theirs."""
    for _ in range(5):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _status(error: BaseException) -> int | None:
    """HTTP's status, if the error has one."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        return _number(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    found = [_number(getattr(each, name, None)) for each in (error, response) for name in _STATUS]
    return next((each for each in found if each is not None), None)


def _number(value: object) -> int | None:
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return None
    return number if 100 <= number < 600 else None
