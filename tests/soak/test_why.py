"""Every staged situation of ``straced why``, 20 times: no wrong culprit; unknown is counted."""

from __future__ import annotations

import collections
import sys
from pathlib import Path

import pytest

from tests.soak.conftest import Figures, times

RUNS = 20


@pytest.mark.limit(3600)
@pytest.mark.needs("cc", "root")
@pytest.mark.parametrize("yama", [False, True], ids=["all rights", "ptrace_scope 1"])
def test_no_wrong_culprit(yama: bool, figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "waits"))
    from soak import soak, table  # type: ignore[import-not-found]

    sys.modules.pop("soak")
    runs = times(RUNS)
    label = "why, with Yama's refusals" if yama else "why"
    with figures.row(label, runs) as row:
        found = soak(runs, yama=yama)
        total: collections.Counter[str] = sum(found.values(), collections.Counter())
        row.update({"situations": len(found), **total})
    print(table(found))
    assert total["not staged"] == 0
    assert total["wrong"] == 0
