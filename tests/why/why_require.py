"""Skip a test that cannot run here, saying why; with STRACED_REQUIRE naming the need, fail instead."""

from __future__ import annotations

import os

import pytest


def need(what: str, met: bool, why_not: str) -> None:
    """``what`` is the word of STRACED_REQUIRE, a list with commas: ``root``, ``cgroup``."""
    if met:
        return
    if what in os.environ.get("STRACED_REQUIRE", "").split(","):
        pytest.fail(f"{what} is required, and {why_not}")
    pytest.skip(why_not)


def need_root() -> None:
    need("root", os.geteuid() == 0, "only root can do this")
