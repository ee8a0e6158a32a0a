"""eBPF refused for real, before or at the attempt: the command runs unharmed, and what still works counts it.

Of `profiling/tracer_choice.py` and `tracers/ebpf/trial.py`.

Of `workflows/hints.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import straced as package
from straced.tracers.ebpf import btf, probe
from tests.support import proc
from tests.support.btf import of_another_build
from tests.support.cli import Result, straced
from tests.support.needs import require
from tests.support.owner import NOBODY, environment, python_of_nobody, start_owner
from tests.support.refuse import BPF, LINK_CREATE, MAP_CREATE, PROG_LOAD, PTRACE, RAW_TRACEPOINT_OPEN, TEST_RUN, under
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("ebpf", "strace", "cc", "root")
PTRACE_SYSCALL = 24
SECURITY = os.path.dirname(probe.LOCKDOWN)
RETURN_OF_NOTHING = bytes([0x95, *bytes(7)])
"""BPF_EXIT, before anything was put into R0, and nothing behind it is reached: the verifier refuses it."""


class Place(NamedTuple):
    """Where straced runs: the words before it, and its environment."""

    prefix: tuple[str, ...] = ()
    env: dict[str, str] | None = None

    def straced(self, *words: object, **options: Any) -> Result:
        return straced(*words, prefix=self.prefix, env=self.env, **options)


def damaged(change: Callable[[bytes], bytes]) -> Callable[[Path], Place]:
    """A copy of the package, whose eBPF object is another."""

    def make(folder: Path) -> Place:
        shutil.copytree(Path(package.__file__).parent, folder / "straced")
        path = folder / "straced/tracers/ebpf/profiler.bpf.o"
        path.write_bytes(change(path.read_bytes()))
        return Place(env={"PYTHONPATH": os.pathsep.join((str(folder), environment()["PYTHONPATH"]))})

    return make


def refused_by_the_verifier(elf: bytes) -> bytes:
    code = btf.section(elf, "tp_btf/sys_enter")
    at = elf.index(code)
    return elf[:at] + RETURN_OF_NOTHING + elf[at + len(RETURN_OF_NOTHING) :]


def filtered(*rules: str) -> Callable[[Path], Place]:
    return lambda folder: Place(prefix=under(*rules))


def behind(*prefix: str) -> Callable[[Path], Place]:
    def make(folder: Path) -> Place:
        require(prefix[0])
        return Place(prefix=prefix)

    return make


def with_types(change: Callable[[bytes], bytes]) -> Callable[[Path], Place]:
    """Where the kernel seems to tell other types than it has."""

    def make(folder: Path) -> Place:
        require("unshare")
        path = folder / "vmlinux"
        path.write_bytes(change(Path(probe.BTF).read_bytes()))
        return Place(prefix=("unshare", "--mount", "sh", "-c", f'mount --bind {path} {probe.BTF} && exec "$@"', "sh"))

    return make


WITHOUT_BTF = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh")
LOCKED = "none integrity [confidentiality]"
LOCKED_DOWN = (
    *("unshare", "--mount", "sh", "-c"),
    f'mount -t tmpfs none {SECURITY} && echo "{LOCKED}" >{probe.LOCKDOWN} && exec "$@"',
    "sh",
)
"""The word of a kernel that is; one that really is, is booted by ``make kernels``."""
REFUSALS: dict[str, tuple[Callable[[Path], Place], str]] = {
    "seccomp": (filtered(f"{BPF}"), "a seccomp filter refuses bpf(2)"),
    "seccomp kills": (filtered(f"{BPF}::kill"), "a seccomp filter refuses bpf(2)"),
    "seccomp at the load": (filtered(f"{BPF}:{PROG_LOAD}"), "a seccomp filter refuses bpf(2)"),
    "seccomp at the maps": (filtered(f"{BPF}:{MAP_CREATE}"), "the kernel refused the eBPF programs"),
    "seccomp at the attach": (
        filtered(f"{BPF}:{RAW_TRACEPOINT_OPEN}", f"{BPF}:{LINK_CREATE}"),
        "the kernel refused the eBPF programs",
    ),
    "seccomp at a request": (filtered(f"{BPF}:{TEST_RUN}"), "the kernel refused the eBPF programs"),
    "truncated object": (damaged(lambda elf: elf[:4000]), "the eBPF object is damaged"),
    "no object": (damaged(lambda elf: b""), "the eBPF object is damaged"),
    "no bpf(2)": (filtered(f"{BPF}:{MAP_CREATE}:hide"), "the kernel has no bpf(2)"),
    "verifier": (damaged(refused_by_the_verifier), "the eBPF programs cannot be loaded"),
    "no BTF": (behind(*WITHOUT_BTF), "the kernel does not describe its types"),
    "BTF of another build": (with_types(of_another_build), "the eBPF programs cannot be loaded"),
    "damaged BTF": (with_types(lambda section: section[: len(section) // 2]), "the eBPF programs cannot be loaded"),
    "lockdown": (behind(*LOCKED_DOWN), "the kernel is locked down (confidentiality)"),
    "user namespace": (behind("unshare", "--user", "--map-root-user"), "user namespace do not count"),
    "capabilities": (behind("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"), "CAP_BPF"),
}


@pytest.fixture(params=REFUSALS)
def refusal(request: pytest.FixtureRequest, start: Starter, tmp_path: Path) -> tuple[Place, str]:
    make, why = REFUSALS[request.param]
    return make(tmp_path), why


def assert_few_plain_words(result: Result) -> None:
    lines = [line for line in result.err.splitlines() if line.strip()]
    assert len(lines) <= 3, result.err
    assert "libbpf:" not in result.err
    assert "Traceback" not in result.err


def test_auto_goes_on_to_strace_and_says_why(refusal: tuple[Place, str], start: Starter, tmp_path: Path) -> None:
    place, why = refusal
    report = tmp_path / "report.json"
    command = ("sh", "-c", f"{start.gt} n 500; echo out; exit 3")
    result = place.straced("run", "--json", "-o", report, "--", *command)
    assert (result.status, result.out) == (3, "out\n"), result.err
    assert_few_plain_words(result)
    assert "counted by strace" in result.err
    assert why in result.err
    told = json.loads(report.read_text())
    assert (told["tracer"], told["exit_status"]) == ("strace", 3)
    assert told["tracer_reason"].startswith("eBPF: ")
    assert why in told["tracer_reason"]
    rows = {row["name"]: row["calls"] for row in told["syscalls"]}
    assert rows["getppid"] >= 500
    assert rows["execve"] == 2, "from the first instruction"


def test_doctor_says_no_and_why(refusal: tuple[Place, str]) -> None:
    place, why = refusal
    result = place.straced("doctor", "--json")
    assert result.status == 0, "strace serves"
    assert result.err == ""
    tracers = {each["name"]: each for each in result.json()["tracers"]}
    assert tracers["ebpf"]["state"] == "no"
    assert why in tracers["ebpf"]["detail"]
    assert tracers["ebpf"]["remedy"]
    assert tracers["strace"]["state"] != "no"


def test_a_process_of_others_is_not_put_under_ptrace(refusal: tuple[Place, str], start: Starter) -> None:
    place, why = refusal
    target = start("tick")
    result = place.straced("attach", target.pid, "-d", "1s")
    result.assert_clear_error(5)
    assert why in result.err
    assert f"straced attach {target.pid} --tracer strace" in result.err
    assert proc.tracer(target.pid) == 0
    named = place.straced("attach", target.pid, "--tracer", "ebpf", "-d", "1s")
    named.assert_clear_error(5)
    assert why in named.err


def test_ebpf_by_name_never_falls_back(refusal: tuple[Place, str], tmp_path: Path) -> None:
    place, why = refusal
    result = place.straced("run", "--tracer", "ebpf", "--", "sh", "-c", "echo out; exit 3")
    assert (result.status, result.out) == (3, "out\n")
    assert_few_plain_words(result)
    assert why in result.err
    assert "the command runs untraced" in result.err
    marker = tmp_path / "was-run"
    result = place.straced("run", "--tracer", "ebpf", "--require-trace", "--", "touch", marker)
    result.assert_clear_error(125)
    assert why in result.err
    assert not marker.exists(), "the command was never started"


TELL = """
import logging
from straced.tracers.ebpf import EbpfTracer
logging.basicConfig()
found = EbpfTracer().trial()
print(type(found.error).__name__, found.detail)
"""


@pytest.mark.parametrize(
    ("refusal", "said"),
    [("verifier", "unreachable insn"), ("BTF of another build", "attach_btf_id"), ("damaged BTF", "BTF")],
    indirect=["refusal"],
)
def test_what_the_verifier_says_is_in_the_log(refusal: tuple[Place, str], said: str) -> None:
    place, why = refusal
    environ = {**os.environ, **environment(), **(place.env or {})}
    argv = [*place.prefix, sys.executable, "-c", TELL]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=30)
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"EbpfBroken {why}")
    assert said in done.stderr
    assert all(name.startswith("straced.libbpf") for name in re.findall(r"^WARNING:([^:]+)", done.stderr, re.MULTILINE))


NO_PTRACE = {
    "refused": under(f"{BPF}", f"{PTRACE}"),
    "kills": under(f"{BPF}::kill", f"{PTRACE}::kill"),
    "refused at the attempt": under(f"{BPF}", f"{PTRACE}:{PTRACE_SYSCALL}"),
}


@pytest.mark.parametrize("how", NO_PTRACE)
def test_without_ptrace_either_the_sampler_estimates(how: str, start: Starter, tmp_path: Path) -> None:
    place, report = Place(prefix=NO_PTRACE[how]), tmp_path / "report.json"
    result = place.straced("run", "--json", "-o", report, "--", "sh", "-c", "sleep 0.3; echo out; exit 3")
    assert (result.status, result.out) == (3, "out\n"), result.err
    assert_few_plain_words(result)
    told = json.loads(report.read_text())
    assert told["tracer"] == told["quality"]["kind"].replace("sampled", "sampler") == "sampler"
    assert told["total"]["calls"] is None
    for name in ("eBPF: ", "strace: "):
        assert name in told["tracer_reason"]
        assert name in result.err


def test_an_estimate_is_no_trace_for_one_who_requires_it(start: Starter, tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    place = Place(prefix=NO_PTRACE["refused"])
    place.straced("run", "--require-trace", "--", "touch", marker).assert_clear_error(125)
    assert not marker.exists()
    result = place.straced("run", "--require-trace", "--tracer", "sampler", "--", "touch", marker)
    assert (result.status, marker.exists()) == (0, True), result.err


def test_doctor_where_nothing_can_count(start: Starter) -> None:
    result = Place(prefix=NO_PTRACE["refused"]).straced("doctor", "--json")
    tracers = {each["name"]: each for each in result.json()["tracers"]}
    assert [tracers[name]["state"] for name in ("ebpf", "strace", "sampler")] == ["no", "no", "yes"]
    assert "seccomp" in tracers["strace"]["detail"]


def test_no_strace_and_no_ebpf(start: Starter, tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    place = Place(prefix=under(f"{BPF}"), env={"PATH": str(tmp_path)})
    report = tmp_path / "report.json"
    result = place.straced("run", "--json", "-o", report, "--", "sh", "-c", "echo out; exit 3")
    assert (result.status, result.out) == (3, "out\n"), result.err
    assert_few_plain_words(result)
    assert json.loads(report.read_text())["tracer"] == "sampler"


def test_a_tiny_memlock_limit_is_no_matter_and_not_talked_of(start: Starter, tmp_path: Path) -> None:
    """libbpf complains of a limit that it may not raise, and the kernel charges no memory to it."""
    require("prlimit", "setpriv")
    rights = (*NOBODY, "--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon")
    words = ("run", "--json", "--", "sh", "-c", "exit 3")
    limited = ("prlimit", "--memlock=65536:65536", *rights)
    environ = {**os.environ, **environment(), "NO_COLOR": "1"}
    argv = [*limited, python_of_nobody(), "-m", "straced", *words]
    done = subprocess.run(argv, env=environ, cwd="/", capture_output=True, text=True, timeout=30)
    result = Result(done.returncode, done.stdout, done.stderr)
    assert result.status == 3
    assert result.err.startswith("{"), "no word before the report"
    assert result.json()["tracer"] == "ebpf"


def test_the_library_goes_on_to_strace_at_the_attempt(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        import subprocess
        async def main():
            async with Profiler() as profiler:
                alone = {key: value for key, value in os.environ.items() if not key.startswith("GT_")}
                session = await profiler.spawn([os.environ["GT"], "n", "70"], stdin=subprocess.DEVNULL, env=alone)
                await session.process.wait()
                summary = await session.result()
            calls = summary.syscalls["getppid"].calls
            say("got", session.tracer, calls, session.tracer_reason)
        asyncio.run(main())
        """,
        prefix=under(f"{BPF}:{RAW_TRACEPOINT_OPEN}", f"{BPF}:{LINK_CREATE}"),
        env={"GT": str(start.gt)},
    )
    assert owner.channel.expect("got").startswith("strace 70 eBPF: the kernel refused the eBPF programs")
    assert owner.process.wait(10) == 0


def test_a_refusal_that_lasts_is_not_met_again_at_every_attach(start: Starter) -> None:
    """The verifier says no to one object as often as it is asked, and takes its time."""
    owner = start_owner(
        start,
        """
        import time
        from straced.linux import procfs
        from straced.tracers.base import AttachOptions
        from straced.tracers.ebpf import EbpfTracer
        async def main():
            tracer, target = EbpfTracer(), procfs.target(int(os.environ["TARGET"]))
            usable, reasons, used = [tracer.probe().usable], set(), []
            for _ in range(20):
                began = time.process_time()
                try:
                    await tracer.attach(target, AttachOptions())
                except errors.TracerUnavailable as error:
                    reasons.add(error.reason)
                used.append(time.process_time() - began)
            usable.append(tracer.probe().usable)
            say("got", *usable, len(reasons), sum(used[1:]) < used[0])
        asyncio.run(main())
        """,
        prefix=under(f"{BPF}:{TEST_RUN}"),
        env={"TARGET": str(os.getpid())},
    )
    assert owner.channel.expect("got") == "True False 1 True"
    assert owner.process.wait(10) == 0
