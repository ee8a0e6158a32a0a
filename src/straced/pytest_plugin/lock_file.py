"""The lock file of budgets: what each test called, a line a call, so that a diff in the repository can be read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from straced.errors import InvalidArgument, StracedError
from straced.linux.output_file import OutputFile
from straced.model.budgets import checked_key

HEAD = """\
# System calls of each test, by straced. Write it anew: pytest --syscalls-record FILE; check it: --syscalls-check FILE
"""
Recorded = dict[str, dict[str, int]]
"""By test, limits by key."""


def load(path: Path) -> Recorded:
    """Read a lock file.

    Raises:
        StracedError: there is none, or it is damaged.
    """
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise StracedError(
            f"{path}: {error.strerror}", hint="record it first: pytest --syscalls-record FILE"
        ) from error
    except ValueError as error:
        raise InvalidArgument(f"{path}: {error}", hint="a merge may have left its marks in it") from error
    for test, limits in found.items():
        if not isinstance(limits, dict) or not all(type(limit) is int for limit in limits.values()):
            raise InvalidArgument(f"{path}: the limits of {test} are not numbers")
        for key in limits:
            checked_key(key)
    return found


def text_of(recorded: Mapping[str, Mapping[str, int]]) -> str:
    """The file, sorted by test."""
    parts = [HEAD]
    for test, limits in sorted(recorded.items()):
        name = json.dumps(test, ensure_ascii=False).replace("\x7f", "\\u007f")
        parts.append("\n".join([f"[{name}]", *(f"{key} = {limit}" for key, limit in limits.items()), ""]))
    return "\n".join(parts)


def save(path: Path, recorded: Mapping[str, Mapping[str, int]]) -> None:
    """Write a lock file in one step.

    Raises:
        OutputError: it cannot be written; what was there is there still.
    """
    with OutputFile(path, overwrite=True, mode=0o644) as output:
        output.text.write(text_of(recorded))
