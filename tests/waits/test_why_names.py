"""Names that other people chose: escapes, newlines, markup, bad UTF-8, 4 KiB. No answer may carry them raw.

Of `views/why/redact.py`.
"""

from __future__ import annotations

import json
import os

import pytest
from why_world import World

from straced.views.why.bundle import bundle
from straced.views.why.dot import dot
from straced.views.why.overview import overview
from straced.views.why.report import report
from straced.waits.all_processes import why_everybody
from straced.waits.model import Why
from straced.waits.process import why_process

_COMM = b"\x1b[31mX\n) R 1\x07"
_FORGED = "\n4242 (init) is idle: it sleeps.\n"
NAMES = {
    "escape": b"\x1b]0;owned\x07\x1b[2J",
    "newline": _FORGED.encode(),
    "markup": b"[bold red]x[link=y] <script>alert(1)<script> {r} %s",
    "not_utf8": b"\xff\xfe\xc3(",
    "bidi": "\u202egnp.exe\u2066".encode(),
    "quotes": b'" ]; evil [label="\\',
    "c1": "\x9b31m".encode(),
}


def _locked(world: World, name: bytes) -> Why:
    code = f"open('/proc/self/comm', 'wb').write({_COMM!r})\n"
    code += "f = open(bytes.fromhex(ARGS[0]), 'w'); {}fcntl.flock(f, fcntl.LOCK_EX); {}"
    path = os.fsencode(world.directory) + b"/" + name
    holder = world.python(code.format("", "ready(); rest()"), path.hex())
    target = world.python(code.format("ready(); ", ""), path.hex())
    world.rests(holder.pid, target.pid)
    why = why_process(target.pid, 20_000_000)
    assert [root.task.pid for root in why.roots] == [holder.pid]
    return why


def _is_clean(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


@pytest.mark.parametrize("name", NAMES)
def test_no_view_carries_a_hostile_name_raw(name: str, world: World) -> None:
    why = _locked(world, NAMES[name])
    plain = json.dumps(why.to_dict(), ensure_ascii=False)
    for text in (report(why), bundle(why), bundle(why, redact=False), dot([why]), plain):
        assert _is_clean(text), text
        assert _FORGED not in text
    assert report(why).count("\n") < 12


def test_hostile_names_in_the_overview(world: World) -> None:
    why = _locked(world, NAMES["newline"])
    found = why_everybody(10_000_000, [why.pid, why.roots[0].task.pid])
    assert _is_clean(overview(found))
    assert len(found.processes) == 2


def test_a_name_of_4_kib(world: World) -> None:
    """The path is as long as the kernel lets it be; the sentence stays readable."""
    directory = os.fsencode(world.directory)
    parts = (4000 - len(directory)) // 201
    for _ in range(parts):
        directory += b"/" + b"d" * 200
        os.mkdir(directory)
    why = _locked(world, os.path.relpath(directory, os.fsencode(world.directory)) + b"/lock")
    assert why.chain is not None
    resource = why.chain.task.wait.resource
    assert resource is not None
    assert len(resource.name) > 3500
    assert max(map(len, report(why).split("\n"))) < 300


def test_a_bundle_leaves_no_piece_of_a_name(world: World) -> None:
    """Long names lose their middle in the text; blanks and commas in them must not save the ends."""
    name = b"alpha bravo, charlie (delta); " + b"echo " * 30 + b"foxtrot golf.lock"
    why = _locked(world, name)
    assert "echo echo" in report(why)
    text = bundle(why)
    for word in ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", str(world.directory)):
        assert word not in text, word
    assert text.count("<name 1>") >= 3
    assert str(why.roots[0].task.pid) in text
    assert "foxtrot golf.lock" in bundle(why, redact=False)
