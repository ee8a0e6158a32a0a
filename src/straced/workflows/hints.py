"""Hints of the library, for those who type: an argument of a call is an option there, and a call is a verb.

Errors say what to do in the words of whoever meets them first, a program: ``tracer="ebpf"``, ``overwrite=True``.
"""

from __future__ import annotations

import re

_TYPED = (
    (r'Profiler\(tracer="(\w+)"\)\.attach\((\d+)\)', r"straced attach \2 --tracer \1"),
    (r"\battach\((\d+)\)", r"straced attach \1"),
    (r"\bspawn\(argv\) or gate\(argv\)", "straced run -- CMD"),
    (r'\btracer="(\w+)"', r"--tracer \1"),
    (r"\bforce=True\b", "--force"),
    (r"\boverwrite=True\b", "--overwrite"),
    (r"\bmin_free_bytes=1_000_000\b", "--min-free 1MB"),
    (r"\bmax_tasks\b", "--max-tasks"),
)


def as_typed(hint: str) -> str:
    """The hint in the language of the command line."""
    for pattern, replacement in _TYPED:
        hint = re.sub(pattern, replacement, hint)
    return hint
