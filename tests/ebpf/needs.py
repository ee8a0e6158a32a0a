"""What a test needs of the machine. A skip says why; a name in STRACED_REQUIRE makes it a failure."""

from __future__ import annotations

import os
import shutil

import pytest

from straced.tracers.ebpf import probe


def missing(name: str) -> str | None:
    """Why a test cannot run here, or ``None``."""
    if name == "ebpf":
        error = probe.missing()
        return None if error is None else error.reason
    if name == "root":
        return None if os.geteuid() == 0 else "not root"
    return None if shutil.which(name) else f"no {name} on PATH"


def require(*names: str) -> None:
    """Skip the test, or fail it where STRACED_REQUIRE names what is missing."""
    asked = os.environ.get("STRACED_REQUIRE", "").replace(",", " ").split()
    for name in names:
        reason = missing(name)
        if reason is not None:
            (pytest.fail if name in asked else pytest.skip)(f"{name}: {reason}")
