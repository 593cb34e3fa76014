"""`fer-fast combine`: two or more models as one, whose probabilities, or weights, are the mean of theirs."""

from __future__ import annotations

import argparse

from fer_fast.cli.console import say
from fer_fast.machine.disk import check_place

_EPILOG = """
The models must have the same classes. Each sees the face in its own size, reduced inside the model where another's is
larger. The mean is of calibrated probabilities; the new model's own temperature is 1, and int8 has the ranges of its
members. `fer-fast recalibrate` measures its temperature and what each precision costs.

--soup takes the mean of the weights instead (Wortsman et al. 2022, "Model soups"), for the time of one model. They must
be what one model became by other trainings, or before and after one.
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
    add("--soup", action="store_true", help="the mean of weights, not of probabilities: of models from one start")
    add("--refer", action="store_true", help="store the names of packaged models instead of their weights")


def run(arguments: argparse.Namespace) -> int:
    """Combines; returns 0."""
    out = check_place(arguments.output)
    if out.suffix != ".safetensors":
        raise ValueError(f"the output must end in .safetensors, not {out.name!r}")
    if arguments.soup and arguments.refer:
        raise ValueError("refer must be left out with soup, which has weights of its own")
    from fer_fast.models.ensemble.combine import combine, member_shares
    from fer_fast.models.soup import soup

    weights, framing = _numbers(arguments.weights), arguments.framing
    if arguments.soup:
        soup(arguments.models, out, weights=weights, framing=framing)
    else:
        combine(arguments.models, out, weights=weights, framing=framing, refer=arguments.refer)
    if not arguments.quiet:
        members = zip(member_shares(weights, len(arguments.models)), arguments.models, strict=True)
        say(f"{out.name}: {', '.join(f'{100 * share:.1f} % {model}' for share, model in members)}")
    return 0


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(each) for each in text.split(",")]
    except ValueError:
        raise ValueError(f"weights must be numbers with a comma between them, not {text!r}") from None
