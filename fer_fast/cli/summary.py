"""What a run of `fer-fast classify` did comes in, lines on standard error go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fer_fast.cli.console import say
from fer_fast.types import counted

if TYPE_CHECKING:
    from fer_fast.pipeline.summary import Summary


def report(summary: Summary, faces: bool) -> None:
    """Says it.

    Args:
        summary: of the run.
        faces: whether rows are of faces in photos.
    """
    where = f" in {summary.out}" if summary.out else ""
    kept = f", {summary.kept} of them kept from an earlier run" if summary.kept else ""
    changed = f", {counted(summary.changed, 'file has', 'files have')} changed since" if summary.changed else ""
    say(f"{counted(summary.rows, 'row', 'rows')}{where}{kept}{changed}: {counts(summary.statuses)}")
    if faces:
        _report_faces(summary)
    if summary.labels:
        say(f"labels: {counts(summary.labels)}")
    _report_left_out(summary)
    if not summary.new and not summary.frames:
        say("nothing was classified: the rows were there")
        return
    rate = f"{summary.photos_per_second:.1f} photos/s" if faces else f"{summary.images_per_second:.1f} images/s"
    if summary.frames:
        rate = ", ".join([*([rate] if summary.new_photos else []), f"{summary.frames_per_second:.1f} frames/s"])
    ran = {key: value for key, value in summary.ran.items() if not key.startswith("finder")}
    say(f"{summary.seconds:.1f} s, {rate}; {_pairs(ran)}")
    if faces:
        of_finder = {key.removeprefix("finder_"): summary.ran[key] for key in summary.ran if key not in ran}
        say(f"found with {_pairs(of_finder)}")
    stages, seconds = summary.stages, max(summary.seconds, 1e-9)
    busy = [("decode", stages.decode), ("model", stages.model), ("write", stages.write)]
    if faces:
        busy.insert(1, ("find", stages.find))
    say("busy: " + ", ".join(f"{name} {spent:.1f} s ({spent / seconds:.2f} threads)" for name, spent in busy))


def report_missing(summary: Summary, faces: bool) -> None:
    """Says how many files lack a prediction, for `--strict`; arguments as for `report`."""
    files = summary.photos + summary.films if faces else summary.rows
    bad = summary.failed
    have = "file has" if files == 1 else "files has" if bad == 1 else "files have"
    unread = counted(len(summary.unlistable), "folder", "folders")
    folders = f", {unread} could not be read" if summary.unlistable else ""
    say(f"fer-fast: --strict: {bad} of {files} {have} no prediction{folders}")


def _report_faces(summary: Summary) -> None:
    files = [counted(summary.photos, "photo", "photos")] if summary.photos or not summary.films else []
    if summary.films:
        looked_at = f" ({counted(summary.frames, 'frame', 'frames')} looked at)" if summary.frames else ""
        files.append(counted(summary.films, "film", "films") + looked_at)
    say(f"{counted(summary.faces, 'face', 'faces')} in {' and '.join(files)}, {summary.no_face} without one")
    if summary.small:
        of_new = " of the new" if summary.kept else ""
        say(f"{counted(summary.small, 'face', 'faces')}{of_new} under 32 px: their labels are less certain")


def _report_left_out(summary: Summary) -> None:
    from fer_fast.inputs import HIDDEN, LINKED

    others = (HIDDEN, LINKED)
    named = {suffix or "no suffix": count for suffix, count in summary.skipped.items() if suffix not in others}
    if named:
        files = counted(sum(named.values()), "file in the folders is", "files in the folders are")
        say(f"{files} not called as images are: {counts(named)}")
    if hidden := summary.skipped[HIDDEN]:
        say(f"{counted(hidden, 'hidden file or folder is', 'hidden files and folders are')} left out")
    if linked := summary.skipped[LINKED]:
        say(f"{counted(linked, 'link or sparse file in a tar is', 'links or sparse files in tars are')} left out")
    if summary.unlistable:
        one, many = "folder or tar could not be read and is", "folders and tars could not be read and are"
        unread = counted(len(summary.unlistable), one, many)
        say(f"{unread} left out, the first is {summary.unlistable[0]!a}")


def _pairs(ran: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in ran.items() if value is not None)


def counts(of: dict[str, int]) -> str:
    """How often each is there, the most frequent first: "ok 98, corrupt 2"."""
    return ", ".join(f"{name} {count}" for name, count in sorted(of.items(), key=lambda item: -item[1]))
