"""`fer-fast doctor`: what works on this machine, and what to install."""

from __future__ import annotations

import argparse
import logging

from fer_fast.cli.console import check_stdout, print_out

_MARKS = {True: "works", False: "no", None: ""}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast doctor` takes: nothing of its own."""
    parser.epilog = (
        "Every engine and decoder and the face finder are tried on one image. The exit status is 1 if no engine works."
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings; returns 0 if an engine works, else 1."""
    check_stdout()
    from fer_fast.doctor import examine

    logger = logging.getLogger("fer_fast")
    level = logger.level
    try:
        if not arguments.verbose:
            logger.setLevel(logging.ERROR)  # what an attempt warns of is in its finding
        sections = examine()
    finally:
        logger.setLevel(level)
    width = max(len(finding.name) for findings in sections.values() for finding in findings)
    lines = []
    for title, findings in sections.items():
        lines.append(title)
        for finding in findings:
            mark = _MARKS[finding.works]
            lines.append(f"  {finding.name:{width}}  {mark + ': ' if mark else ''}{finding.said}")
            if finding.advice:
                lines.append(f"  {'':{width}}  -> {finding.advice}")
    print_out("\n".join(lines))
    return 0 if any(finding.works for finding in sections["engines"]) else 1
