"""Marks for what tests of the service need; where STRACED_REQUIRE names it, its absence is a failure."""

from __future__ import annotations

import pytest

needs_ebpf = pytest.mark.needs("ebpf")
needs_root = pytest.mark.needs("root", "setpriv")
