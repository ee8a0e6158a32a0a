"""Tests that cannot run everywhere say why; where STRACED_REQUIRE names what they need, they fail instead."""

from __future__ import annotations

import os

import pytest

from straced.tracers.ebpf import EbpfTracer

REQUIRED = os.environ.get("STRACED_REQUIRE", "").split(",")


def _marked(name: str, missing: str | None) -> pytest.MarkDecorator:
    if missing is not None and name in REQUIRED:
        return pytest.mark.xfail(run=False, strict=True, reason=f"required: {name}: {missing}")
    return pytest.mark.skipif(missing is not None, reason=f"{name}: {missing}")


def _ebpf() -> str | None:
    available = EbpfTracer().probe()
    return None if available.usable else available.detail


needs_ebpf = _marked("ebpf", _ebpf())
needs_root = _marked("root", None if os.geteuid() == 0 else "not root")
