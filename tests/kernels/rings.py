"""Requests of io_uring: their tracepoints differ among kernels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kernels.checks import check, straced

GT = Path("/tmp/gt")
COUNTED = {"openat": (100, 50), "read": (50, 0), "close": (50, 0), "nop": (50, 0)}
ODD = {"read": (2, 2), "nop": (10, 2), "poll_add": (1, 1), "async_cancel": (1, 0), "madvise": (1, 0)}


@check
def rings(refused: str) -> str:
    """Requests that are handed over, and that the kernel's thread takes; then those with uncommon ends."""
    if refused:
        return f"eBPF cannot serve: {refused}"
    for polled in ("0", "1"):
        found = _requests("ring", "50", polled)
        assert found.pop("poll_add")["requests"] == 1
        assert {name: (row["requests"], row["errors"]) for name, row in found.items()} == COUNTED, found
    odd = _requests("rings")
    assert {name: (odd[name]["requests"], odd[name]["errors"]) for name in ODD} == ODD, odd
    assert (odd["poll_add"]["more"], odd["nop"]["silent"], odd["madvise"]["silent"]) == (5, 3, 1), odd
    return "all requests, entered and polled; linked, cancelled, silent, refused"


def _requests(*words: str) -> dict[str, dict[str, Any]]:
    table = json.loads(straced("run", "--io-uring", "--json", "--", str(GT), *words).stderr)["io_uring"]
    assert table["rows"] is not None, table
    return {row["name"].removeprefix("io_uring:"): row for row in table["rows"]}
