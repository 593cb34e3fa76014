"""A report's page: one HTML file that loads nothing from elsewhere, made of a template and what it shows.

Whoever has a report says what its page shows, in the words of `fer_fast.reports.parts`; how that looks is in
`templates/`: NAME.html and NAME.css a page, and base.html, macros.html and page.css for all. Nothing here knows what a
benchmark or an evaluation is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).with_name("templates")


def render(name: str, **shown: Any) -> str:
    """Renders a page; all text in it is escaped.

    Args:
        name: of the template.
        shown: what the template names.

    Returns:
        The page, in ASCII: a file's name need not be valid text.
    """
    styles = [(_TEMPLATES / sheet).read_text() for sheet in ("page.css", f"{name}.css")]  # the page's own rules win
    text = _environment().get_template(f"{name}.html").render(style=Markup("\n".join(styles)), **shown)
    return text.encode("ascii", "xmlcharrefreplace").decode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
