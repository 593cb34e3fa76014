"""A report's page: one HTML file that loads nothing from elsewhere, made of a template and what it shows.

Whoever has a report says what its page shows, in the words of `fer_fast.reports.parts`; how that looks is in
`templates/`: NAME.html, NAME.css and perhaps NAME.js a page, and base.html, macros.html and page.css for all. Nothing
here knows what a benchmark or an evaluation is.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).with_name("templates")


def render(name: str, **shown: Any) -> str:
    """Renders a page; all text in it is escaped, and its policy keeps browsers from loading or running anything else.

    Args:
        name: of the template.
        shown: what the template names.

    Returns:
        The page, in ASCII: a file's name need not be valid text.
    """
    styles = [(_TEMPLATES / sheet).read_text() for sheet in ("page.css", f"{name}.css")]  # the page's own rules win
    script = (_TEMPLATES / f"{name}.js").read_text() if (_TEMPLATES / f"{name}.js").exists() else ""
    frame = {"style": Markup("\n".join(styles)), "script": Markup(script), "policy": _policy(script)}
    text = _environment().get_template(f"{name}.html").render(**frame, **shown)
    return text.encode("ascii", "xmlcharrefreplace").decode()


def data_block(value: Any) -> Markup:
    """What a page's script reads, as JSON that ends no script element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


def _policy(script: str) -> str:
    """A content security policy: of scripts the page's own alone, known by its digest."""
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    rules += ["style-src 'unsafe-inline'", "img-src data:"]
    if script:
        digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
        rules.append(f"script-src 'sha256-{digest}'")
    return "; ".join(rules)


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
