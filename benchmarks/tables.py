"""Writes the measured tables into README.md and docs/: benchmarks/results/*.json come in, Markdown goes out.

    python benchmarks/tables.py [--check]

Each table stands between `<!-- NAME -->` and `<!-- end -->`. With --check nothing is written and the exit status is 1
if a page differs from its JSON.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from pages import (
    confidence,
    cpp,
    crops,
    feature_loss,
    filled,
    films,
    finder,
    frontier,
    gpu,
    graph,
    inception,
    install,
    models,
    performance,
    photos,
    readme,
    reproduction,
    scale,
    study,
    watch,
)

ROOT = Path(__file__).resolve().parent.parent
#: Page -> marker -> what stands there.
PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": readme.TABLES | install.TABLES,
    "docs/cpp.md": cpp.TABLES,
    "docs/crops.md": crops.TABLES,
    "docs/evaluation.md": confidence.TABLES,
    "docs/faces.md": filled.TABLES,
    "docs/feature-loss.md": feature_loss.TABLES,
    "docs/films.md": films.TABLES,
    "docs/gpu.md": gpu.TABLES,
    "docs/inception.md": inception.TABLES,
    "docs/models.md": models.TABLES | finder.TABLES | study.TABLES | frontier.TABLES,
    "docs/performance.md": performance.TABLES | photos.TABLES | install.START_TABLES | graph.TABLES,
    "docs/prior.md": models.PRIOR_TABLES,
    "docs/reproduction.md": reproduction.TABLES,
    "docs/scale.md": scale.TABLES,
    "docs/small-cnns.md": study.OWN_TABLES,
    "docs/watch.md": watch.TABLES,
}


def render(page: str, tables: dict[str, Callable[[], str]]) -> str:
    """A page's text with its tables made anew.

    Raises:
        SystemExit: if the page lacks a marker.
    """
    text = (ROOT / page).read_text()
    for name, make in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{page} has no table {name!r}")
        body = make()
        text = pattern.sub(lambda match, body=body: match[1] + body + "\n" + match[2], text)
    return text


def main() -> int:
    """Writes or checks every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args().check
    stale = []
    for page, tables in PAGES.items():
        text = render(page, tables)
        if text != (ROOT / page).read_text():
            stale.append(page)
            if not check:
                (ROOT / page).write_text(text)
    if stale:
        print(f"{'differs from its JSON' if check else 'written'}: {', '.join(stale)}", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
