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


_OF_TRACE = (
    (r"; or raise max_tasks\b", ""),
    (r'\buse tracer="ebpf"', "count instead: straced attach {pid}"),
    (r'\btracer="ebpf"', "straced attach {pid}"),
)
"""``straced trace`` has neither of these options: what helps there is another verb."""


def as_typed(hint: str, verb: str = "", pid: int | None = None) -> str:
    """The hint in the language of the command line.

    Args:
        hint: as the library says it.
        verb: which verb was typed: it may not have the option.
        pid: of the target, where there is one.
    """
    for pattern, replacement in _OF_TRACE if verb == "trace" and pid is not None else ():
        hint = re.sub(pattern, replacement.format(pid=pid), hint)
    for pattern, replacement in _TYPED:
        hint = re.sub(pattern, replacement, hint)
    return hint
