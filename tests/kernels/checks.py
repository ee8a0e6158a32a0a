"""What the checks inside a booted kernel have in common: an emulator may need a minute for what takes a second."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

STRACED = (sys.executable, "-m", "straced")
LONG_S = 300.0
"""No expectation: it ends what hangs."""
CHECKS: dict[str, Callable[[str], str]] = {}


def check(function: Callable[[str], str]) -> Callable[[str], str]:
    """Register a check: it returns what it saw, or fails an assertion.

    It is told some words of why eBPF cannot serve, which are empty where it must.
    """
    CHECKS[function.__name__] = function
    return function


def straced(
    *words: str, seconds: float = LONG_S, expect: int | None = 0, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a verb, and return what it said."""
    done = subprocess.run([*STRACED, *words], capture_output=True, text=True, timeout=seconds, check=False, **options)
    assert expect is None or done.returncode == expect, f"status {done.returncode}: {done.stderr.strip()[-300:]}"
    return done
