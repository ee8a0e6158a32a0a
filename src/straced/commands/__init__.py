"""The command line: one file a verb, imported when it is typed."""

from __future__ import annotations


def main() -> None:
    raise SystemExit(2)
