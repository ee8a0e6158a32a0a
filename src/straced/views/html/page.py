"""Puts a report's figures into the page. All foreign text goes in as JSON and comes out through ``textContent``."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from typing import Any

import msgspec

from straced.text.units import format_count
from straced.traces.values import TraceReport
from straced.views.text.summary import head as head_line
from straced.views.text.summary import plain, quality_line

_ASSETS = "straced.views.html"


def render(report: TraceReport) -> str:
    """The page as text.

    The content security policy allows this page's own script and style, by their hashes, and nothing else: no request
    can leave it, whatever a path is called.
    """
    script, style = _asset("page.js"), _asset("page.css")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        _asset("page.html")
        .replace("{{policy}}", policy)
        .replace("{{style}}", style)
        .replace("{{script}}", script)
        .replace("{{data}}", json_island(data_of(report)))
    )


def json_island(data: dict[str, Any]) -> str:
    """JSON that is safe inside a script element: no ``<``, ``>`` or ``&`` stands in it as such."""
    text = msgspec.json.encode(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def data_of(report: TraceReport) -> dict[str, Any]:
    """What the page shows."""
    summary = report.summary
    title = report.source
    name = f"{summary.target.pid} ({summary.target.comm})" if summary.target.comm else None
    return {
        "title": title,
        "head": plain([head_line(summary, name)]).strip(),
        "lines": f"{format_count(report.lines)} lines",
        "quality": quality_line(summary),
        "reasons": [reason.text for reason in summary.quality.reasons],
        "timed": summary.total.wall_ns is not None,
        "summary": msgspec.to_builtins(summary.rows),
        "processes": [_process(each) for each in report.processes],
        "processesHidden": report.processes_hidden,
        "files": msgspec.to_builtins(report.files),
        "filesFolded": report.files_folded,
        "slowest": msgspec.to_builtins(report.slowest),
        "findings": msgspec.to_builtins(report.findings),
        "timeline": msgspec.to_builtins(report.timeline),
        "flame": msgspec.to_builtins(report.flame),
        "duration": None if summary.window.duration_ns is None else summary.window.duration_ns / 1e9,
    }


def _process(process: Any) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(process)
    built.pop("syscalls", None)
    return built


def _asset(name: str) -> str:
    return importlib.resources.files(_ASSETS).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
