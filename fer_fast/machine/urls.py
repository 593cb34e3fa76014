"""Which words that name inputs are URLs, by their form alone."""

from __future__ import annotations

import re

#: A letter and a colon is no scheme: nobody means it so.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://")
_WEB = ("http://", "https://")


def is_url(path: str) -> bool:
    """Whether an input is a URL, of whatever scheme."""
    return "://" in path and _SCHEME.match(path) is not None


def is_web(url: str) -> bool:
    """Whether a URL is of the web, where files have addresses and there are no folders."""
    return url.startswith(_WEB)


def name_in(url: str) -> str:
    """What a URL calls its file, folders and all, without the scheme; on the web without what its server is asked."""
    rest = url.partition("://")[2]
    return rest.partition("#")[0].partition("?")[0] if is_web(url) else rest
