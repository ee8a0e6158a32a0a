"""``--redact``: of two hundred secrets in arguments and paths none is left, whatever is made of the trace.

Of `records/redacting.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from straced.records.reader import RecordFile
from straced.text.redaction import redact_words
from tests.support.cli import popen_straced, straced
from tests.support.poll import until
from tests.support.records import check_flips

FORMS = (
    "password={}", "--password={}", "PGPASSWORD={}", "api_key={}", "x?token={}&a=1", "https://user:{}@host/x",
    "secret: {}", '{{"password": "{}"}}', "Authorization: Bearer {}", "Cookie: sid={}", "/home/{}/x", "access-key={}",
    "passphrase='{}'", "client_secret={}", "AKIA{:0>16.16}", "ghp_{:0<24}", "jwt={}",
)  # fmt: skip
PAIRS = ("--password", "--token", "--api-key")
SECRETS = [f"Q7{number:03d}ZKW{number * 7919 % 1000:03d}" for number in range(200)]
PROGRAM = """
import json, os, subprocess, sys
words, paths = json.loads(sys.argv[1] if len(sys.argv) > 1 else open(0).read())
for path in paths:
    os.access("/none/" + path, 0)
for at in range(0, len(words), 60):
    subprocess.run(["true", *words[at:at + 60]])
sys.stdin.close()
"""


def planted() -> tuple[list[str], list[str]]:
    """Words of command lines, and paths."""
    words, paths = [], []
    for number, secret in enumerate(SECRETS):
        if number % 10 == 9:
            words += [PAIRS[number // 10 % len(PAIRS)], secret]
        elif number % 2:
            words.append(_form(number).format(secret.upper()))
        else:
            paths.append(_form(number).format(secret.upper()))
    return words, paths


def _form(number: int) -> str:
    return FORMS[number // 2 % len(FORMS)]


def left_in(text: str) -> list[str]:
    """The secrets that stand in a text."""
    return [secret for secret in SECRETS if secret in text]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan"
    path.write_text(json.dumps(planted()))
    return path


@pytest.mark.needs("ebpf")
def test_nothing_that_is_made_of_a_trace_holds_a_secret(tmp_path: Path, plan: Path) -> None:
    trace = tmp_path / "t.strc"
    with plan.open() as stdin:
        done = straced("trace", "-o", trace, "--", sys.executable, "-c", PROGRAM, stdin=stdin.fileno())
    assert done.status == 0, done.err
    made = {name: tmp_path / name for name in ("html", "ndjson", "csv", "perfetto")}
    files = [word for name, path in made.items() for word in (f"--{name}", path)]
    raw = straced("report", trace, *files)
    assert raw.status == 0, raw.err
    assert left_in(made["ndjson"].read_text()) == SECRETS  # they are all there to be found
    clean = straced("report", trace, *files, "--overwrite", "--redact", "--all")
    assert clean.status == 0, clean.err
    said = straced("report", trace, "--redact", "--json")
    texts = [clean.out, said.out, *(path.read_text() for path in made.values())]
    assert [left_in(text) for text in texts] == [[]] * len(texts)
    assert "true" in made["ndjson"].read_text()
    assert (
        said.json()["summary"]["total"]["calls"]
        == straced("report", trace, "--json").json()["summary"]["total"]["calls"]
    )


@pytest.mark.parametrize(
    "tracer",
    [pytest.param("ebpf", marks=pytest.mark.needs("ebpf")), pytest.param("strace", marks=pytest.mark.needs("strace"))],
)
def test_lines_without_secrets(plan: Path, tracer: str) -> None:
    words = ("trace", "--tracer", tracer, "-e", "execve,access,faccessat,faccessat2")
    for redact in ((), ("--redact",)):
        with plan.open() as stdin:
            done = straced(*words, "-s", "8000", *redact, "--", sys.executable, "-c", PROGRAM, stdin=stdin.fileno())
        assert done.status == 0, done.err
        assert left_in(done.err) == ([] if redact else SECRETS)
        looked_for = [line for line in done.err.splitlines() if "/none/" in line and "execve(" not in line]
        assert len(looked_for) == len(planted()[1])


@pytest.mark.needs("ebpf")
def test_a_dump_without_secrets(tmp_path: Path, plan: Path) -> None:
    waits = [
        sys.executable,
        "-c",
        PROGRAM.replace("sys.stdin.close()", "os.write(1, b'.'); os.read(0, 1)"),
        plan.read_text(),
    ]
    waits[2] = "import os; os.read(0, 1)\n" + waits[2]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        recorder = popen_straced("record", target.pid, env={"TMPDIR": str(tmp_path)})
        try:
            assert target.stdin is not None
            assert target.stdout is not None
            until(lambda: _dump(target.pid, tmp_path / "first", tmp_path) == 0, 60, "it records", pause_s=0.2)
            target.stdin.write(b"\n")
            target.stdin.flush()
            assert target.stdout.read(1) == b"."
            assert _dump(target.pid, tmp_path / "raw.strc", tmp_path) == 0
            assert _dump(target.pid, tmp_path / "clean.strc", tmp_path, "--redact") == 0
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.communicate(timeout=60)
            target.kill()
    clean, raw = RecordFile(tmp_path / "clean.strc"), RecordFile(tmp_path / "raw.strc")
    assert left_in((tmp_path / "raw.strc").read_bytes().decode("latin-1")) == SECRETS
    assert left_in((tmp_path / "clean.strc").read_bytes().decode("latin-1")) == []
    assert [each.label for each in clean][: len(SECRETS)] == [each.label for each in raw][: len(SECRETS)]
    assert clean.end is not None
    assert [trouble for trouble in clean.troubles() if not trouble.startswith("a dump: ")] == []
    size = (tmp_path / "raw.strc").stat().st_size
    check_flips(tmp_path / "raw.strc", range(size // 40, size, size // 20))


def _dump(pid: int, path: Path, folder: Path, *words: str) -> int:
    return straced("dump", pid, "-o", path, *words, env={"TMPDIR": os.fspath(folder)}).status


def test_words_that_follow_an_option() -> None:
    assert redact_words(["mysql", "-u", "root", "-pabc", "--token", "x y", "z"]) == [
        "mysql",
        "-u",
        "root",
        "-p***",
        "--token",
        "***",
        "z",
    ]
    assert redact_words(["ls", "-l"]) == ["ls", "-l"]


@pytest.mark.parametrize("words", [["-o", "t.strc"], ["--report", "p.html"], ["--tracer", "strace", "-o", "t"]])
def test_what_is_redacted_later_is_said(words: list[str]) -> None:
    done = straced("trace", "1", "--redact", *words)
    assert done.status == 2
    assert "straced report FILE --redact" in done.err
