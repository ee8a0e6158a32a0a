"""What the documentation says of the service is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from straced.config.loader import parse, table_of_keys
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.facts import HostFacts, OwnCost, Pressure
from straced.model.histogram import bucket
from straced.service.metrics.openmetrics import Totals
from tests.service.samples import ME, NOON, calls, process, tick

DOCS = Path(__file__).parents[2] / "docs"


def test_every_key_stands_there_with_its_default() -> None:
    text = (DOCS / "service.md").read_text()
    assert text.endswith("".join(f"| `{key}` | `{default}` | {means} |\n" for key, default, means in table_of_keys()))


def test_the_defaults_as_they_are_shown_can_be_written() -> None:
    for key, default, _means in table_of_keys():
        if default in ("(required)", "none") or key == "watch" or key.startswith("watch."):
            continue
        *tables, name = key.split(".")
        if len(tables) < 2:
            parse((f"[{tables[0]}]\n" if tables else "") + f"{name} = {default}")


def test_the_dashboard_asks_for_what_there_is() -> None:
    totals = Totals(10)
    pressed = HostFacts(
        epoch_s=NOON,
        monotonic_ns=0,
        cpus=2,
        cpu_pct=1.0,
        load=(1, 1, 1),
        memory_total_bytes=2,
        memory_available_bytes=1,
        memory_pressure=Pressure(1.0),
        own=OwnCost(cpu_pct=1.0),
        zombies=0,
        processes=1,
    )
    totals.tick(tick(NOON, process(made=(calls(errors=1),)), host=pressed))
    took = ProgramDurations("", "worker", ME, {"read": CallDurations(1000, {bucket(1000): 1})})
    totals.durations(DurationBatch(NOON, (took,)))
    there = set(re.findall(r"^(straced_\w+)", totals.text(), re.MULTILINE))
    there |= {"straced_alerts_open", "straced_late_ticks_total"}  # of a service, see the test with one
    board = json.loads((DOCS / "grafana-dashboard.json").read_text())
    asked = {target["expr"] for panel in board["panels"] for target in panel.get("targets", [])}
    assert len(asked) >= 10
    for expression in asked:
        for name in re.findall(r"straced_\w+", expression):
            assert name in there, (name, expression)


def test_no_axis_of_the_dashboard_has_two_units() -> None:
    """Each panel has one unit, each query of it the same kind of figure, and job and program can be chosen."""
    board = json.loads((DOCS / "grafana-dashboard.json").read_text())
    assert {"instance", "job", "program"} <= {each["name"] for each in board["templating"]["list"]}
    assert [panel["title"] for panel in board["panels"] if panel["type"] == "stat"]
    assert board["annotations"]["list"][0]["expr"].startswith("straced_alerts_open")
    ends = {"ratio": "percentunit", "bytes": "bytes", "seconds": "s"}
    for panel in board["panels"]:
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit, panel["title"]
        for target in panel["targets"]:
            gauges = re.findall(r"straced_\w+_(ratio|bytes|seconds)\b", target["expr"])
            assert all(ends[each] == unit for each in gauges), panel["title"]
