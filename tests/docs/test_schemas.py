"""Every JSON object that straced writes is as the published schema of its name says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from tests.docs import snippets
from tests.support import process_states as real
from tests.support.cli import straced

sys.path.insert(0, str(snippets.ROOT / "scripts"))
import docs_pages


def check(found: dict[str, Any]) -> str:
    """Hold an object to the schema that it names; the name."""
    name: str = found["schema"]
    fastjsonschema.compile(strict(docs_pages.schema(name)))(found)
    return name


def strict(part: Any) -> Any:
    """The schema in the words of draft 7, which is what the validator knows, with no key that it does not name."""
    if isinstance(part, list):
        return [strict(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {key: strict(value) for key, value in part.items() if key != "$schema"}
    if "prefixItems" in made:
        made |= {"items": made.pop("prefixItems"), "additionalItems": False}
    if made.get("type") == "object" and "properties" in made:
        made["additionalProperties"] = False
    return made


@pytest.mark.needs("ebpf")
def test_the_verbs_write_what_the_schemas_say(tmp_path: Path) -> None:
    runs = [tmp_path / f"{number}.json" for number in range(2)]
    for path in runs:
        assert straced("run", "-o", path, "--json", "--", "ls", "/usr").status == 0
    assert straced("trace", "-o", tmp_path / "t.txt", "--", "ls", "/usr").status == 0
    names = [check(json.loads(runs[0].read_text()))]
    names.append(check(straced("diff", *runs, "--json", "--max", "fsync=0").json()))
    names.append(check(straced("report", tmp_path / "t.txt", "--json").json()))
    with real.running("sleep", "60") as pid:
        names.append(check(straced("why", pid, "--json", "-d", "0.3s").json()))
        names.append(check(straced("doctor", pid, "--json").json()))
        names.append(check(straced("top", pid, "--once", "--json", "-i", "0.3s", "--source", "local").json()))
    assert sorted([*names, "straced.why_all/1"]) == sorted(docs_pages.SCHEMAS)


def test_answers_for_many(tmp_path: Path) -> None:
    with real.running("sleep", "60"), real.running("sleep", "60"):
        assert check(straced("why", "name:sleep", "--json", "-d", "0.3s").json()) == "straced.why_all/1"


@pytest.mark.parametrize("name", docs_pages.SCHEMAS)
def test_an_object_of_another_kind_is_refused(name: str) -> None:
    valid = fastjsonschema.compile(strict(docs_pages.schema(name)))
    for wrong in ({}, {"schema": name}, {"schema": "straced.nothing/1"}):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            valid(wrong)
