"""Who may count what, and what is said to those who may not.

Of `tracers/ebpf/errnos.py`.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from straced.linux import procfs
from straced.tracers.ebpf import EbpfTracer, libbpf, probe
from straced.tracers.ebpf.errors import EbpfLockedDown, EbpfNoBtf, EbpfNoLibrary, EbpfTooOld
from tests.support.needs import require
from tests.support.owner import NOBODY, environment, python_of_nobody
from tests.tracers.ebpf.conftest import Start

SCRIPT = """
import asyncio, ctypes, json, os, subprocess, sys
from straced.linux import procfs
from straced.errors import StracedError
from straced.model.aggregation import merge_rows
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer, events, instance, libbpf, tracer as _
import encodings.idna, select, concurrent.futures.thread  # later, nobody could not read them
from straced.syscalls import names
names("x86_64")
libbpf.load()

def drop(capabilities):
    '''Become nobody, with these capabilities and no other.'''
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    mask = sum(1 << number for number in capabilities)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    assert libc.capset(header, data) == 0
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: a change of uid took it away

async def main(program, root_pid, *capabilities):
    if capabilities != ("root",):
        drop([int(number) for number in capabilities])
    tracer = EbpfTracer()
    told = {"pid": 0, "host_pid": 0}
    available = tracer.probe()
    told["usable"], told["error"] = available.usable, type(available.error).__name__
    command = ["become", os.environ["BECOME"], "marks", "5"] if "BECOME" in os.environ else ["n", "77"]
    child = subprocess.Popen([program, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.read(1)
    try:
        session = await tracer.attach(procfs.target(child.pid), AttachOptions())
        told["pid"], told["host_pid"] = child.pid, session.target.host_pid
        child.communicate(b"g")
        sample = await session.detach()
        told["calls"] = [row.calls for row in merge_rows(sample.rows) if row.name == "getppid"]
        told["reasons"] = [reason.code for reason in sample.reasons]
        told["pids"] = sorted({row.pid for row in sample.rows})
    except StracedError as error:
        told["refused"] = type(error).__name__
        child.communicate(b"g")
    try:
        if root_pid != "0":
            await (await tracer.attach(procfs.target(int(root_pid)), AttachOptions())).detach()
    except StracedError as error:
        told["root"] = type(error).__name__
    await tracer.close()
    print(json.dumps(told))

asyncio.run(main(*sys.argv[1:]))
"""


def told(
    programs: Path, *arguments: object, before: tuple[str, ...] = (), become: Path | None = None
) -> dict[str, object]:
    """Run the script, and return what it found."""
    if become is not None:
        before = (*before, "env", f"BECOME={become}")
    argv = [*before, sys.executable, "-c", SCRIPT, str(programs / "gt"), *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, timeout=30, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_two_capabilities_are_enough_for_ones_own_processes(programs: Path, start: Start) -> None:
    require("ebpf", "root")
    roots = start("blocked")
    found = told(programs, roots.pid, probe.CAP_BPF, probe.CAP_PERFMON)
    assert found["usable"]
    assert found["calls"] == [77]
    assert found["root"] == "NotPermitted"


def test_a_set_user_id_program_is_let_go(programs: Path, tmp_path: Path) -> None:
    """What a process does after it gained rights by execve is not shown to a caller without them."""
    require("ebpf", "root")
    import shutil

    folder = programs / "setuid"
    folder.mkdir(exist_ok=True)
    strong = folder / "gt"
    shutil.copy(programs / "gt", strong)
    strong.chmod(0o4755)
    found = told(programs, 0, probe.CAP_BPF, probe.CAP_PERFMON, become=strong)
    assert found["reasons"] == ["changed_user"]
    assert found["calls"] == []
    strong.chmod(0o755)
    found = told(programs, 0, probe.CAP_BPF, probe.CAP_PERFMON, become=strong)
    assert (found["reasons"], found["calls"]) == ([], [5])


def test_without_capabilities_it_is_refused_with_the_reason(programs: Path) -> None:
    require("ebpf", "root")
    found = told(programs, 0)
    assert (found["usable"], found["error"], found["refused"]) == (False, "EbpfNotPermitted", "EbpfNotPermitted")
    found = told(programs, 0, probe.CAP_BPF)
    assert found["error"] == "EbpfNotPermitted"


def test_inside_a_pid_namespace_the_pids_are_its_own(programs: Path) -> None:
    require("ebpf", "root", "unshare")
    found = told(programs, 0, "root", before=("unshare", "-pf", "--mount-proc"))
    assert found["calls"] == [77]
    assert found["pids"] == [found["pid"]]
    assert isinstance(found["pid"], int)
    assert isinstance(found["host_pid"], int)
    assert found["pid"] < 100 < found["host_pid"]


def test_what_is_missing_has_a_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require("ebpf")
    monkeypatch.setattr(probe, "BTF", str(tmp_path / "none"))
    assert isinstance(EbpfTracer().probe().error, EbpfNoBtf)
    monkeypatch.undo()

    def missing() -> None:
        raise OSError(2, "no such library")

    monkeypatch.setattr(libbpf, "load", missing)
    assert isinstance(EbpfTracer().probe().error, EbpfNoLibrary)
    monkeypatch.undo()
    monkeypatch.setattr(probe, "lockdown", lambda: "confidentiality")
    assert isinstance(EbpfTracer().probe().error, EbpfLockedDown)
    monkeypatch.undo()
    monkeypatch.setattr(probe, "lacking", lambda: "bpf_loop()")
    assert isinstance(probe.load_error(OSError(errno.EINVAL, "load")), EbpfTooOld)


def test_lockdown_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lockdown"
    path.write_text("none integrity [confidentiality]\n")
    assert probe.lockdown(str(path)) == "confidentiality"
    assert probe.lockdown(str(tmp_path / "none")) == "none"


def test_messages_of_libbpf_go_to_the_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    require("ebpf")
    library = libbpf.load()
    with caplog.at_level("WARNING", "straced.libbpf"):
        assert not library.bpf_object__open_mem(b"not an object", 13, None)
    assert caplog.records
    assert capfd.readouterr() == ("", "")


def test_what_libbpf_says_of_a_question_is_no_warning() -> None:
    """Some kernels cannot tell whether they preempt programs: with ``logging.basicConfig()`` each process said so."""
    require("ebpf")
    code = """
import contextlib, logging
from straced.tracers.ebpf import preemption
logging.basicConfig()
with contextlib.suppress(OSError):
    preemption._ask()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_memlock_cannot_be_raised_and_it_does_not_matter(programs: Path) -> None:
    require("ebpf", "root")
    limited = ("prlimit", "--memlock=65536:65536")
    require("prlimit")
    assert told(programs, 0, "root", before=limited)["calls"] == [77]
    assert os.geteuid() == 0


AMBIENT = (*NOBODY, "--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon")
"""The words that run a command as nobody, who may load eBPF programs and nothing else."""


def run_straced(*words: object, prefix: tuple[str, ...] = (), **variables: str) -> tuple[int, str, str]:
    """The command line, by a Python that others may run, too; its status, stdout and stderr."""
    argv = [*prefix, python_of_nobody(), "-m", "straced", *map(str, words)]
    environ = {**os.environ, **environment(), "NO_COLOR": "1", **variables}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=environ, cwd="/")
    return done.returncode, done.stdout, done.stderr


def test_ambient_capabilities_of_another_user(programs: Path, start: Start) -> None:
    require("ebpf", "root", "setpriv")
    status, _, said = run_straced(
        "run", "--tracer", "ebpf", "--json", "--", programs / "gt", "marks", 77, prefix=AMBIENT
    )
    assert status == 0, said
    summary = json.loads(said[said.index("{") :])
    assert summary["tracer"] == "ebpf"
    assert summary["target"]["uid"] == 65534
    assert {row["name"]: row["calls"] for row in summary["syscalls"]}["getppid"] == 77
    assert summary["quality"]["kind"] == "exact"
    status, _, said = run_straced("attach", "--tracer", "ebpf", start("blocked").pid, prefix=AMBIENT)
    assert (status, "belongs to uid 0" in said) == (4, True)


def test_auto_picks_ebpf_for_ambient_capabilities(programs: Path) -> None:
    require("ebpf", "root", "setpriv")
    _, _, said = run_straced("run", "--json", "--", programs / "gt", "marks", 1, prefix=AMBIENT)
    assert json.loads(said[said.index("{") :])["tracer"] == "ebpf"


def test_under_sudo_it_says_as_whom_and_user_drops_to_the_caller() -> None:
    """sudo leaves the caller in SUDO_UID; the command then has his ids, groups and home, and we keep our rights."""
    require("ebpf", "root")
    sudo = {"SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}
    tell = ("sh", "-c", "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; grep Cap /proc/self/status")
    status, out, said = run_straced("run", "--tracer", "ebpf", "--", *tell, **sudo)
    assert (status, out.splitlines()[:3]) == (0, ["0", "0", "0"])
    assert "the command runs as root; with --user it runs as nobody" in said
    status, out, said = run_straced("run", "--tracer", "ebpf", "--user", "--", *tell, **sudo)
    assert status == 0, said
    uid, gid, groups, names, *capabilities = out.splitlines()
    entry = pwd.getpwuid(65534)
    assert (uid, gid, groups) == ("65534", str(entry.pw_gid), str(entry.pw_gid))
    assert names == f"{entry.pw_dir} nobody nobody"
    assert {line.split()[1] for line in capabilities if line.startswith(("CapEff", "CapPrm"))} == {"0" * 16}
    assert "as root" not in said
    assert " execve " in said
    assert said.splitlines()[-1].startswith("exact · eBPF")
    status, _, said = run_straced("run", "--user", "--", "true", SUDO_UID="")
    assert (status, "--user is for sudo" in said) == (125, True)


def test_without_rights_auto_goes_on_with_strace_and_says_why(programs: Path, start: Start) -> None:
    """A program that straced starts is traced by strace; one that runs already is not put under ptrace unasked."""
    require("ebpf", "root", "setpriv", "strace")
    status, _, said = run_straced("run", "--json", "--", programs / "gt", "marks", 9, prefix=NOBODY)
    assert status == 0, said
    summary = json.loads(said[said.index("{") :])
    assert summary["tracer"] == "strace"
    assert "CAP_BPF" in summary["tracer_reason"]
    assert {row["name"]: row["calls"] for row in summary["syscalls"]}["getppid"] == 9
    own = start(*NOBODY[1:], str(programs / "gt"), "blocked", program="../../../usr/bin/setpriv", held=True)
    status, _, said = run_straced("attach", own.pid, prefix=NOBODY)
    assert (status, "--tracer strace" in said) == (5, True), said
    assert procfs.tracer_pid(own.pid) == 0


LACKING = """
from straced.tracers.ebpf.engine import Engine, object_bytes
whole = object_bytes()
lacking = whole.replace(b"bpf_task_from_pid", b"bpf_task_from_pix")
assert lacking != whole
Engine(elf=lacking).close()
"""


@pytest.mark.needs("ebpf")
@pytest.mark.needs("setpriv")
def test_where_the_kernel_lacks_what_is_optional_no_more_rights_are_needed() -> None:
    """Of such a function libbpf 1.1 asks the modules, for which it would need CAP_SYS_ADMIN: so on Linux 6.1."""
    rights = ("--bounding-set=-all,+bpf,+perfmon,+dac_read_search", "--inh-caps=-all", "--no-new-privs")
    done = subprocess.run(
        ["setpriv", *rights, sys.executable, "-c", LACKING], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
