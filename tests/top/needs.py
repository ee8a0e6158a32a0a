"""What a test needs of the machine; what is missing skips it, or fails it where STRACED_REQUIRE names it."""

from __future__ import annotations

import os
import shutil

import pytest


def need(what: str) -> None:
    """``ebpf``, ``root``, ``tmux`` or ``strace``."""
    missing = _missing(what)
    if missing is None:
        return
    if what in os.environ.get("STRACED_REQUIRE", "").split(","):
        pytest.fail(f"{missing}, and STRACED_REQUIRE asks for it")
    pytest.skip(missing)


def _missing(what: str) -> str | None:
    if what == "root":
        return None if os.geteuid() == 0 else "not root"
    if what == "ebpf":
        from straced import choice
        from straced.errors import TracerUnavailable

        try:
            available = choice.make("ebpf").probe()
        except TracerUnavailable as error:
            return error.reason
        return None if available.usable else f"no eBPF: {available.detail}"
    return None if shutil.which(what) else f"no {what} on PATH"
