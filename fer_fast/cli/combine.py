"""`fer-fast combine`: two or more models as one, whose probabilities are the mean of theirs."""

from __future__ import annotations

import argparse

from fer_fast.cli.console import say
from fer_fast.machine.disk import check_place

_EPILOG = """
The models must have the same classes. Each sees the face in its own size, reduced inside the model where another's is
larger. The mean is of calibrated probabilities; the new model's own temperature is 1, and int8 has the ranges of its
members. `fer-fast recalibrate` measures its temperature and what each precision costs.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast combine` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL", help="a packaged model's name, or a .safetensors checkpoint")
    add("-o", "--output", required=True, metavar="FILE", help="the new checkpoint")
    add("--weights", metavar="W,W", help="how much each model counts, numbers above 0 (default: the same)")
    add("--framing", help="how faces of photos are cut for it: points, box or level (default: as for the models)")
    add("--refer", action="store_true", help="store the names of packaged models instead of their weights")


def run(arguments: argparse.Namespace) -> int:
    """Combines; returns 0."""
    out = check_place(arguments.output)
    if out.suffix != ".safetensors":
        raise ValueError(f"the output must end in .safetensors, not {out.name!r}")
    from fer_fast.models.ensemble.combine import combine

    config = combine(
        arguments.models, out, weights=_numbers(arguments.weights), framing=arguments.framing, refer=arguments.refer
    )
    if not arguments.quiet:
        members = zip(config.shares, arguments.models, strict=True)
        say(f"{out.name}: {', '.join(f'{100 * share:.1f} % {model}' for share, model in members)}")
    return 0


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(each) for each in text.split(",")]
    except ValueError:
        raise ValueError(f"weights must be numbers with a comma between them, not {text!r}") from None
