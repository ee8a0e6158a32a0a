"""Which reader serves: the native core where it was built, unless the environment says otherwise; else Python's.

Light, for ``--version``: a library that can be loaded counts as one that serves.
"""

from __future__ import annotations

import os
from pathlib import Path

PATH = Path(__file__).with_name("libstraced_reader.so")
CHOICE = "STRACED_READER"
"""The environment variable that chooses: ``python`` never takes the core."""


def is_wanted() -> bool:
    """Whether the core may serve."""
    return os.environ.get(CHOICE) != "python"


def is_there() -> bool:
    """Whether the core can be loaded."""
    import ctypes

    try:
        return hasattr(ctypes.CDLL(str(PATH)), "straced_sources")
    except OSError:
        return False


def describe() -> str:
    """Return which reader serves, in words."""
    if not is_wanted():
        return f"the Python reader ({CHOICE}=python)"
    return "the native reader" if is_there() else "the Python reader (the native one was not built: no C compiler)"
