"""Real servers in known situations: the answer is right, or says that it is not sure; nobody innocent is blamed."""

from __future__ import annotations

import field_scenarios  # noqa: F401, registers them
import pytest
from field_judge import ask
from field_quiet import alarms, start_all
from field_world import SCENARIOS, Field
from tests.support.needs import require
from why_world import World

from straced.views.why.report import sentence

_ASKS = 10
"""On a busy machine a loop that looks at its clock may be met at that, and less is said; nothing wrong, ever."""
IN_SUITE = [name for name, found in SCENARIOS.items() if found.in_suite]


@pytest.mark.parametrize("name", IN_SUITE)
def test_scenario(name: str, field: Field, world: World) -> None:
    found = SCENARIOS[name]
    require("root", *found.needs)  # an ordinary user is told less, and other tests look at that
    staged = found.stage(field, world)
    for truth in staged if isinstance(staged, list) else [staged]:
        for _ in range(_ASKS):
            word, text = ask(truth)
            if word == "wrong" or truth.accepts(word):
                break
        assert truth.accepts(word), f"{word}: {text}"


def test_nothing_is_wrong_with_idle_servers(field: Field, world: World) -> None:
    """One look at all processes of the machine, beside all these servers; ``make field`` does so for ten minutes."""
    require("root")
    servers = start_all(field)
    assert [sentence(why) for why in alarms(servers, 1.0)] == []
