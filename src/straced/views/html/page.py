"""Puts a report's figures into the page. All foreign text goes in as JSON and comes out through ``textContent``."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from typing import Any

import msgspec

from straced.traces.values import CloseUp, TraceReport
from straced.views.html.figures import data_of

_ASSETS = "straced.views.html"
_SCRIPTS = ("base.js", "tables.js", "lanes.js", "flame.js", "page.js")
"""In this order they are one script."""


def render(
    report: TraceReport,
    closeup: CloseUp | None = None,
    *,
    host: str | None = None,
) -> str:
    """The page as text.

    The content security policy allows this page's own script and style, by their hashes, and nothing else: no request
    can leave it, whatever a path is called.

    Args:
        report: the report.
        closeup: what a second look at the trace gave, if there was one.
        host: the machine that was traced; ``None``: not known.
    """
    script, style = "\n".join(map(_asset, _SCRIPTS)), _asset("page.css")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        _asset("page.html")
        .replace("{{policy}}", policy)
        .replace("{{style}}", style)
        .replace("{{script}}", script)
        .replace("{{data}}", json_island(data_of(report, closeup, host)))
    )


def json_island(data: dict[str, Any]) -> str:
    """JSON that is safe inside a script element: no ``<``, ``>`` or ``&`` stands in it as such."""
    text = msgspec.json.encode(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _asset(name: str) -> str:
    return importlib.resources.files(_ASSETS).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
