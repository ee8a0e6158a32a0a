"""Long command lines, long rules, many labels: bounded where they enter, and nobody else waits."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from straced.config import watch_rules
from straced.errors import InvalidArgument
from straced.ipc.messages import Select
from straced.linux import procfs
from straced.model.owner import Owner
from straced.service.api.publisher import fitting, size_of
from straced.service.collect.watchlist import Watchlist
from straced.text.sanitize import scrub, scrub_bytes
from tests.security.intruder import client, of, others_are_served, process, snapshot
from tests.service.daemon import Daemon, serving
from tests.service.needs import needs_root
from tests.service.processes import public_folder, running
from tests.service.samples import process as sample

ESCAPES = "\x1b" * 120_000
SPEAKING = "print('ready', flush=True)\nimport sys\nsys.stdin.read()"
LONG = "*" + "[a-z]?" * 20_000 + "*x" * 200_000


def test_sanitizing_is_linear_and_looks_no_further_than_the_limit() -> None:
    def took(text: str, limit: int) -> float:
        return min(_timed(text, limit) for _ in range(3))

    assert took("\x1b" * 1_900_000, 4096) < 10 * max(took("\x1b" * 5_000, 4096), 0.0005)
    assert took("\x1b" * 400_000, 10**9) < 8 * took("\x1b" * 100_000, 10**9)
    assert len(scrub("\x1b" * 1_900_000)) == 4096
    assert scrub_bytes(b"\xff" * 1_900_000).endswith("…")


def _timed(text: str, limit: int) -> float:
    """In CPU time: whoever else works here is no part of it."""
    began = time.thread_time()
    scrub(text, limit)
    return time.thread_time() - began


@needs_root
async def test_command_lines_of_megabytes_keep_nobody_waiting() -> None:
    with public_folder() as folder, serving(folder, '[[watch]]\ntarget = "user:65534"\n') as daemon, running() as mine:
        async with daemon.client() as root:
            await root.watch(str(mine.pid))
            with (
                process(SPEAKING, *[ESCAPES] * 15) as one,
                process(SPEAKING, *["a\nb"] * 50_000) as two,
                process(SPEAKING, *["x" * 120_000] * 15),
            ):
                async with others_are_served(daemon):
                    tick = await snapshot(root, one.pid, two.pid, mine.pid)
                for pid in (one.pid, two.pid):
                    line = of(tick, pid).facts.cmdline
                    assert sum(map(len, line)) <= 2 * procfs.CMDLINE_LIMIT
                    assert line[-1].endswith("…")
                    assert "".join(line).isprintable()
        assert daemon.stop() <= 3


def test_a_tick_that_is_too_large_loses_what_is_of_the_heaviest_user() -> None:
    theirs = [sample(pid, owner=Owner(65534, 65534, False), cmdline=("\\x1b" * 1000,)) for pid in range(1000)]
    mine = [sample(pid, owner=Owner(0, 0, False)) for pid in range(5000, 5010)]
    kept, cut = fitting([*theirs, *mine], 400_000)
    assert sum(map(size_of, kept)) <= 400_000
    assert {each.facts.pid for each in mine} <= {each.facts.pid for each in kept}
    assert cut == 1010 - len(kept) > 0
    assert fitting(mine, 400_000) == (mine, 0)


# --- rules and labels ---


@needs_root
async def test_rules_are_bounded_and_cost_others_nothing() -> None:
    with public_folder() as folder, serving(folder) as daemon:
        evil = "*" + "[a-z]?" * 16 + "*q" * 50
        body = f"""
for number in range(3):
    said[f"long {{number}}"] = await attempt(client.watch("name:*" + "[a-z]?" * 100_000 + "*x" * 100_000 + str(number)))
said["many classes"] = await attempt(client.watch("name:" + "?" * 100))
for number in range(100):
    said[f"rule {{number}}"] = await attempt(client.watch(f"name:{evil}{{number}}"))
said["one more"] = await attempt(client.watch("name:z"))
"""
        names = [process(SPEAKING, "a" * 250) for _ in range(5)]
        started = [each.__enter__() for each in names]
        try:
            async with others_are_served(daemon):
                said = await asyncio.to_thread(client, daemon, body)
        finally:
            for each in names:
                each.__exit__(None, None, None)
        assert len(started) == 5
        assert [said[f"long {number}"] for number in range(3)] == ["invalid_argument"] * 3
        assert said["many classes"] == "invalid_argument"
        assert [said[f"rule {number}"] for number in range(100)] == ["fine"] * 100
        assert said["one more"] == "too_much"
        daemon.stop()
        began = time.monotonic()
        daemon.start()
        assert time.monotonic() - began < 10
        async with others_are_served(daemon):
            pass


@needs_root
async def test_rules_of_an_earlier_version_that_are_too_long_are_left_out_with_a_word() -> None:
    with public_folder() as folder, running() as mine:
        daemon = Daemon(folder)
        daemon.state.mkdir(mode=0o700)
        kept = [{"target": f"name:{LONG}{number}", "owner": 65534} for number in range(3)]
        kept += [{"target": "user:nobody-of-this-name", "owner": 65534}, {"target": "name:kept-\x1b[31m"}]
        rules_file = daemon.state / "watch.json"
        rules_file.write_text(json.dumps(kept))
        rules_file.chmod(0o600)
        began = time.monotonic()
        daemon.start()
        try:
            assert time.monotonic() - began < 10
            async with daemon.client() as root:
                await root.watch(str(mine.pid))
                await snapshot(root, mine.pid)
                targets = {rule.target for rule in await root.rules()}
                events = await root.events(Select())
            assert targets == {"name:kept-\\x1b[31m", str(mine.pid)}
            (said,) = [event for event in events if event.kind == "rules_ignored"]
            assert said.text.startswith("4 rules")
        finally:
            daemon.stop()


@needs_root
async def test_labels_are_bounded_when_they_come_together() -> None:
    with public_folder() as folder, serving(folder) as daemon, process(SPEAKING) as mine:
        body = """
pid = int(sys.argv[1])
for number in range(64):
    labels = {f"l{number}_{i}": "x" for i in range(10)}
    said[str(number)] = await attempt(client.label(pid, **labels))
"""
        said = await asyncio.to_thread(client, daemon, body, mine.pid)
        assert list(said.values()) == ["fine"] + ["invalid_argument"] * 63
        async with daemon.client() as root:
            tick = await snapshot(root, mine.pid)
        assert len(of(tick, mine.pid).facts.labels) == 10


def test_labels_of_a_tree_and_its_rules_are_bounded_together() -> None:
    def named(prefix: str, count: int) -> dict[str, str]:
        return {f"{prefix}{number}": prefix for number in range(count)}

    found = watch_rules.merged(named("tree", 16), named("rule", 10), named("own", 3))
    assert len(found) == watch_rules.MAX_LABELS
    assert {**named("rule", 10), **named("own", 3)}.items() <= found.items()


def test_a_name_is_compared_once_with_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = watch_rules.Glob.matches
    monkeypatch.setattr(watch_rules.Glob, "matches", lambda self, text: compared.append(text) or real(self, text))
    with running():
        found = Watchlist()
        found.rules = [watch_rules.parse("name:nobody-is-called-so*")]
        found.look()
        first = len(compared)
        assert first
        found.look()
        assert len(compared) - first < first / 2  # of processes that began meanwhile


@pytest.mark.parametrize("text", ["name:" + "a" * 257, "name:" + "?" * 33, "cgroup:/" + "a" * 2000, "x" * 10**6])
def test_long_rules_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        watch_rules.parse(text)
    assert len(caught.value.reason) < 300


@needs_root
async def test_nothing_of_it_reaches_a_terminal(tmp_path: Path) -> None:
    """Labels and rules with escapes, of a user and of the configuration, on every way out."""
    from tests.service.test_life import straced

    with public_folder() as folder:
        config = '[[watch]]\ntarget = "name:toml-\\u001b[35m*"\nlabels = {job = "toml\\u001b[36m"}\n'
        with serving(folder, config) as daemon, process(SPEAKING) as mine:
            body = """
pid = int(sys.argv[1])
said["label"] = await attempt(client.label(pid, job="\\x1b[31mred\\x07\\u202e", other="\\x9b2J"))
said["rule"] = await attempt(client.watch("name:\\x1b]0;owned\\x07*", {"job": "\\x1b[2J"}))
for _ in range(200):
    found = await client.snapshot()
    if found and found.processes and found.processes[0].facts.labels: break
    await asyncio.sleep(0.05)
said["removed"] = await attempt(client.unwatch("name:\\x1b]0;owned\\x07*"))
said["again"] = await attempt(client.watch("name:\\x1b]0;owned\\x07*", {"job": "\\x1b[2J"}))
"""
            said = await asyncio.to_thread(client, daemon, body, mine.pid)
            assert set(said.values()) == {"fine"}
            until_there = time.monotonic() + 15
            while "red" not in straced("metrics", socket_=daemon.socket).stdout and time.monotonic() < until_there:
                await asyncio.sleep(0.2)
            for words in (
                ("watch", "ls"),
                ("watch", "ls", "--json"),
                ("metrics",),
                ("events", "--since", "1h"),
                ("history", "--since", "1h"),
                ("status",),
            ):
                done = straced(*words, socket_=daemon.socket)
                text = (done.stdout + done.stderr).replace("\n", "")
                assert text.isprintable(), (words, text)
            assert "\\x1b[31mred" in straced("metrics", socket_=daemon.socket).stdout
            listed = straced("watch", "ls", socket_=daemon.socket).stdout
            assert "name:\\x1b]0;owned" in listed
            assert "toml" in listed
        assert os.listdir(tmp_path) == ["TMPDIR"]
