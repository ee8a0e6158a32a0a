"""The pages of the documentation that are made from the program itself.

What the help, the configuration, the metrics and the JSON output say is written once, in the sources; ``make docs``
puts it into pages (``scripts/docs_hooks.py``), and tests read the same text.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import msgspec
from verbs import commands, examples_of

from straced.commands.group import STATUSES
from straced.commands.registry import VERBS, available
from straced.config.loader import table_of_keys
from straced.model.diagnosis import Diagnosis
from straced.model.facts import HostFacts, OwnCost, Pressure
from straced.model.frame import Frame
from straced.model.tick import Tick
from straced.model.types import Summary
from straced.service.metrics.openmetrics import Totals
from straced.traces.diff.values import Check, Difference
from straced.traces.values import TraceReport
from straced.waits.model import Why, WhyAll

ROOT = Path(__file__).parents[1]
PROJECT = {"CONTRIBUTING.md": "project/contributing.md", "SECURITY.md": "project/security.md"} | {
    "CHANGELOG.md": "project/changelog.md", "README.md": "index.md",
}  # fmt: skip
"""Pages of the repository's root, and where the site has them."""
SCHEMAS: dict[str, tuple[Any, str]] = {
    "straced.summary/1": (Summary, "`run`, `attach`, `history` with `--json`; `Summary.to_dict()`"),
    "straced.report/1": (TraceReport, "`report --json`"),
    "straced.diff/1": (Difference, "`diff --json`, where `checks` says what came of the rules"),
    "straced.why/1": (Why, "`why --json`; `Why.to_dict()`"),
    "straced.why_all/1": (WhyAll, "`why --all --json`; `WhyAll.to_dict()`"),
    "straced.top/1": (Frame, "`top --json`, a frame a line"),
    "straced.doctor/1": (Diagnosis, "`doctor --json`"),
}
"""By the value of ``schema`` in an object: the type that it is made from, and what writes it."""

RUN_STATUS = """\
`run` has 126 for a command that cannot be executed and 127 for one that is not found, as a shell has. With `--max` it
has 1 for a broken limit. `diff` has 1 where a rule of `--fail-on` or a limit is broken."""
KEYS = """\
Read by [`straced serve`](cli/serve.md), which tries a file with `--check`. Durations are written as `30s` or `2h30m`,
sizes as `50MB`. [The service](../service.md) tells what they do."""
METRICS = """\
Printed by [`straced metrics`](cli/metrics.md), served on `metrics.listen`, pushed to `otlp.endpoint`. Labels are
bounded and never hold a pid; what is unknown has no line. [How to scrape it](../howto/grafana.md)."""
JSON = """\
An object names its schema in `schema`. A number behind the slash changes when a program that reads it has to. What is
unknown is `null`, never 0; times end in `_ns`, nanoseconds, or `_s`, seconds."""


def pages() -> dict[str, str]:
    """All made pages and files, by their paths below the documentation."""
    made = {"reference/cli/index.md": cli_index(), "reference/exit-status.md": exit_status()}
    made |= {f"reference/cli/{verb.name}.md": verb_page(verb.name) for verb in available()}
    made |= {
        "reference/straced-toml.md": keys(),
        "reference/metrics.md": metrics(),
        "reference/json.md": schema_index(),
    }
    made |= {f"reference/schemas/{file_of(name)}": json.dumps(schema(name), indent=2) + "\n" for name in SCHEMAS}
    made |= {place: (ROOT / name).read_text() for name, place in PROJECT.items() if place.startswith("project/")}
    return made


# --- the verbs ---


def cli_index() -> str:
    """The verbs by section."""
    lines = ["# Commands", "", "Each page is made from the help of its verb: `straced VERB --help`.", ""]
    for section in dict.fromkeys(verb.section for verb in available()):
        lines += [f"## {section}", "", "| verb | what it answers or does |", "| --- | --- |"]
        lines += [f"| [{verb.name}]({verb.name}.md) | {verb.line} |" for verb in available() if verb.section == section]
        lines.append("")
    return "\n".join(lines)


def verb_page(name: str) -> str:
    """The page of a verb."""
    lines = [f"# straced {name}", ""]
    for typed, command, context in commands(name):
        if typed != f"straced {name}":
            lines += [f"## {typed}", ""]
        lines += [_prose(command.help or ""), "", "```text", *_usage(command, context), "```", ""]
        lines += ["| to type | what it answers |", "| --- | --- |"]
        lines += [f"| `{_cell(line)}` | {_cell(answer)} |" for line, answer in examples_of(command, context)]
        lines += ["", "| option | meaning |", "| --- | --- |"]
        for parameter in command.get_params(context):
            if (record := parameter.get_help_record(context)) is not None:
                lines.append(f"| `{_cell(record[0])}` | {_cell(record[1])} |")
        lines.append("")
    return "\n".join(lines)


def _usage(command: click.Command, context: click.Context) -> list[str]:
    return [command.get_usage(context).removeprefix("Usage: ")]


def _prose(text: str) -> str:
    return re.sub(r"[<*_]", r"\\\g<0>", text.replace("\b", "").strip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def exit_status() -> str:
    """What the status of a command says."""
    lines = ["# Exit status", "", "| status | meaning |", "| --- | --- |"]
    for each in STATUSES.split(", "):
        number, _, meaning = each.partition(" ")
        lines.append(f"| {number} | {meaning} |")
    lines += ["", "A verb that runs a command has the status of that command (128 + n when signal n ended it):", ""]
    lines += ["| verb | status of straced's own troubles |", "| --- | --- |"]
    lines += [f"| [{verb.name}](cli/{verb.name}.md) | {verb.own_status} |" for verb in VERBS if verb.own_status]
    lines += ["", RUN_STATUS, ""]
    return "\n".join(lines)


# --- what is configured, measured and written ---


def keys() -> str:
    """Every key of straced.toml."""
    lines = ["# straced.toml", "", KEYS, "", "| key | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{key}` | `{default}` | {_cell(means)} |" for key, default, means in table_of_keys()]
    return "\n".join([*lines, ""])


def metrics() -> str:
    """Every family of metrics, as an exposition has them."""
    pressure = Pressure(0.0)
    host = HostFacts(
        epoch_s=0.0, monotonic_ns=0, cpus=1, cpu_pct=0.0, load=(0, 0, 0), memory_total_bytes=0,
        memory_available_bytes=0, cpu_pressure=pressure, memory_pressure=pressure, io_pressure=pressure,
        own=OwnCost(cpu_pct=0.0, rss_bytes=0, tick_ns=0), zombies=0, processes=0,
    )  # fmt: skip
    totals = Totals(1)
    totals.tick(Tick(epoch_s=0.0, monotonic_ns=0, duration_ns=None, boot_id="", host=host))
    lines = ["# Metrics", "", METRICS, "", "| metric | type | meaning |", "| --- | --- | --- |"]
    counting = SimpleNamespace(host=SimpleNamespace(late_ticks=0), counting=SimpleNamespace(serves=True))
    idle: Any = SimpleNamespace(ticks=0, store=None, watcher=counting, alerts=SimpleNamespace(open_by_kind=dict))
    found = [(name, kind, words) for name, kind, words, _ in totals.families(idle)]
    suffixes = {"counter": "_total", "info": "_info"}
    lines += [f"| `{name}{suffixes.get(kind, '')}` | {kind} | {_cell(words)} |" for name, kind, words in found]
    return "\n".join([*lines, ""])


def file_of(name: str) -> str:
    """The file of a schema."""
    return name.replace("/", "-") + ".json"


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the objects whose ``schema`` is ``name``."""
    kind, _ = SCHEMAS[name]
    (made,), definitions = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    for each in {kind.__name__} | {other.__name__ for other, _ in SCHEMAS.values()} & set(definitions):
        of = next(label for label, (other, _) in SCHEMAS.items() if other.__name__ == each)
        _mark(definitions[each], of)
    if name == "straced.report/1":  # what is for pictures alone
        definitions["TraceReport"]["properties"].pop("flame", None)
    if name == "straced.doctor/1":
        definitions["Diagnosis"]["properties"]["usable"] = {"type": "boolean"}
    if name == "straced.diff/1":
        (of_checks,), more = msgspec.json.schema_components((list[Check],), ref_template="#/$defs/{name}")
        definitions["Difference"]["properties"]["checks"] = of_checks
        definitions |= more
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **made, "$defs": definitions}


def _mark(definition: dict[str, Any], name: str) -> None:
    definition["properties"] = {"schema": {"const": name}, **definition["properties"]}
    definition["required"] = ["schema", *definition.get("required", [])]


def schema_index() -> str:
    """The list of schemas."""
    lines = ["# JSON", "", JSON, "", "| schema | JSON Schema | written by |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | [{file_of(name)}](schemas/{file_of(name)}) | {by} |" for name, (_, by) in SCHEMAS.items()]
    return "\n".join([*lines, ""])
