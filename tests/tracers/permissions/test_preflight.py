"""Who may not be traced, each told apart before an attach: real processes, real ids, a real freezer.

Of `tracers/permissions/refusals.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from straced import errors
from straced.linux import capabilities, procfs
from straced.tracers.permissions import preflight
from straced.tracers.permissions import protected as own
from tests.support import process_states as real
from tests.support.needs import unavailable
from tests.support.poll import until


def refused(pid: int, **options: Any) -> errors.StracedError:
    with pytest.raises(errors.StracedError) as caught:
        preflight.check(pid, **options)
    error = caught.value
    assert error.reason
    assert 1 + len(error.hint.splitlines()) <= 3
    return error


def test_a_plain_child_may_be_traced_and_asking_takes_less_than_a_millisecond() -> None:
    with real.running() as pid:
        assert preflight.check(pid) == ()
        times = []
        for _ in range(30):
            started = time.perf_counter()
            preflight.check(pid)
            times.append(time.perf_counter() - started)
    assert min(times) < 0.001


@pytest.mark.parametrize("pid", [0, -1, 2**31, 10**11])
def test_not_a_pid(pid: int) -> None:
    assert isinstance(refused(pid), errors.InvalidArgument)


def test_gone() -> None:
    with real.running() as pid:
        pass
    error = refused(pid)
    assert isinstance(error, errors.NoSuchProcess)
    assert (error.pid, error.exit_code) == (pid, 3)


def test_zombie() -> None:
    with real.zombie() as pid:
        assert isinstance(refused(pid), errors.TargetIsZombie)


def test_the_leader_exited_and_its_threads_live() -> None:
    with real.leaderless() as pid:
        assert procfs.stat(pid).state == "Z"
        alone = preflight.check(pid)
        assert len(alone) == 1
        assert alone[0] in procfs.tasks(pid)
        assert alone[0] != pid


def test_seen_by_its_owner_without_capabilities() -> None:
    real.need_root()
    with real.leaderless() as pid:
        assert len(real.seen_by(lambda: None, lambda: preflight.check(pid))) == 1


def test_kernel_thread() -> None:
    for pid in procfs.pids():
        if procfs.stat(pid).is_kernel_thread:
            assert isinstance(refused(pid), errors.KernelThread)
            return
    unavailable("kernel_thread", "none is visible here")


def test_a_thread_is_named_with_its_process() -> None:
    stay = threading.Event()
    thread = threading.Thread(target=stay.wait)
    thread.start()
    try:
        error = refused(thread.native_id or 0)
    finally:
        stay.set()
        thread.join()
    assert isinstance(error, errors.InvalidArgument)
    assert f"use {os.getpid()}" in error.hint


def test_traced_already_names_the_tracer() -> None:
    with real.running() as pid, real.forked(lambda: (real.be_named("mygdb"), real.seize(pid))) as tracer:
        error = refused(pid)
        assert isinstance(error, errors.AlreadyTraced)
        assert error.tracer_pid == tracer
        assert f"{tracer} (mygdb)" in error.reason


def test_a_tracer_of_one_thread_only_is_found_after_the_refusal() -> None:
    with real.leaderless() as pid:
        (tid,) = preflight.check(pid)
        with real.forked(lambda: real.seize(tid)) as tracer:
            error = preflight.explain_refusal(pid)
            assert isinstance(error, errors.AlreadyTraced)
            assert error.tracer_pid == tracer


def as_nobody(pid: int) -> tuple[type, dict[str, Any]] | tuple[()]:
    answer: tuple[type, dict[str, Any]] | tuple[()] = real.seen_by(real.be_nobody, lambda: preflight.check(pid))
    return answer


def test_another_users_process() -> None:
    real.need_root()
    with real.running() as pid:
        kind, fields = as_nobody(pid)
        assert kind is errors.NotPermitted
        assert fields["uid"] == 0
        assert fields["hint"].startswith("sudo /")


def test_the_same_users_process_is_fine() -> None:
    real.need_root()
    with real.running(user=real.NOBODY, group=real.NOBODY, extra_groups=[]) as pid:
        assert as_nobody(pid) == ()


def test_same_user_other_group() -> None:
    real.need_root()
    with real.running(user=real.NOBODY, group=0, extra_groups=[]) as pid:
        kind, fields = as_nobody(pid)
        assert kind is errors.NotPermitted
        assert "another user or group" in fields["reason"]


def test_not_dumpable_for_its_own_user_and_fine_for_root() -> None:
    real.need_root()
    with real.forked(lambda: (real.be_nobody(), real.set_dumpable(0))) as pid:
        kind, _ = as_nobody(pid)
        assert kind is errors.NotDumpable
        assert preflight.check(pid) == ()
    with real.forked(lambda: (real.be_nobody(), real.set_dumpable(1))) as pid:
        assert as_nobody(pid) == ()


def test_more_capabilities_than_the_caller() -> None:
    real.need_root()
    ids = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
    program = subprocess.Popen(["setpriv", *ids, "sleep", "60"])
    try:
        until(lambda: procfs.stat(program.pid).comm == "sleep", real.LIMIT_S, "exec")
        kind, _ = as_nobody(program.pid)
        assert kind is errors.MissingCapability
    finally:
        program.kill()
        program.wait()


def test_root_without_the_capability() -> None:
    real.need_root()
    code = (
        "import sys; from straced.tracers.permissions import preflight; from straced.errors import StracedError\n"
        "try: print(preflight.check(int(sys.argv[1])))\n"
        "except StracedError as error: print(type(error).__name__)"
    )
    with real.running(user=real.NOBODY, group=real.NOBODY, extra_groups=[]) as pid:
        command = ["setpriv", "--bounding-set=-sys_ptrace", sys.executable, "-c", code, str(pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=real.LIMIT_S, check=True)
    assert done.stdout == "MissingCapability\n"


@pytest.mark.parametrize("scope", [0, 1, 2, 3])
def test_yama_for_a_user(scope: int, tmp_path: Path) -> None:
    """The kernel here may have no Yama: its setting is a file of a /proc made for the test."""
    real.need_root()
    with real.running(user=real.NOBODY, group=real.NOBODY, extra_groups=[]) as pid:
        root = real.proc_like_this(tmp_path)
        real.set_yama(root, scope)

        def become() -> None:
            os.unlink(f"{root}/self")
            os.symlink(f"/proc/{os.getpid()}", f"{root}/self")
            os.symlink(f"/proc/{os.getpid()}", f"{root}/{os.getpid()}")
            real.be_nobody()

        def before_and_after() -> tuple[str, str]:
            try:
                before = str(preflight.check(pid, root=root))
            except errors.YamaScope as error:
                before = f"yama {error.scope}"
            after = preflight.explain_refusal(pid, root=root)
            return before, f"yama {after.scope}" if isinstance(after, errors.YamaScope) else type(after).__name__

        made = real.seen_by(become, before_and_after) if _reachable(tmp_path) else None
    if made is None:
        unavailable("tmp_path", "other users cannot reach the folder of this test")
    unnamed = "NotPermitted"  # nothing stands in the way, so that no cause can be named
    assert made == {0: ("()", unnamed), 1: ("()", "yama 1"), 2: ("yama 2", "yama 2"), 3: ("yama 3", "yama 3")}[scope]


def _reachable(folder: Path) -> bool:
    folder.chmod(0o755)
    for parent in (folder, *folder.parents):
        if not parent.stat().st_mode & 0o001:
            if parent.stat().st_uid != os.geteuid() or not parent.name.startswith("pytest-"):
                return False
            parent.chmod(0o755)
    return True


def test_yama_stops_root_only_at_scope_3(tmp_path: Path) -> None:
    real.need_root()
    with real.running() as pid:
        root = real.proc_like_this(tmp_path)
        for scope in (1, 2):
            real.set_yama(root, scope)
            assert preflight.check(pid, root=root) == ()
        real.set_yama(root, 3)
        assert isinstance(refused(pid, root=root), errors.YamaScope)


@pytest.mark.parametrize("action", [real.SECCOMP_EPERM, real.SECCOMP_KILL])
def test_a_filter_that_refuses_ptrace_even_by_killing(action: int) -> None:
    with real.running() as pid:

        def ask() -> tuple[int, str, str]:
            capabilities.ptrace_blocked.cache_clear()
            try:
                preflight.check(pid)
            except errors.PtraceBlocked as error:
                return error.exit_code, error.reason, type(preflight.explain_refusal(pid)).__name__
            return 0, "", ""

        status, reason, after = real.seen_by(lambda: real.refuse_ptrace(action), ask)
    assert status == 4
    assert "seccomp" in reason
    assert after == "PtraceBlocked"


def test_a_filter_that_allows_ptrace_is_no_obstacle() -> None:
    def ask() -> Any:
        capabilities.ptrace_blocked.cache_clear()
        return capabilities.caller().seccomp, preflight.check(pid)

    with real.running() as pid:
        assert real.seen_by(lambda: real.refuse_ptrace(real.SECCOMP_ALLOW), ask) == (2, ())


def test_the_machines_first_process_needs_force(tmp_path: Path) -> None:
    for namespace, protected in ((capabilities.INITIAL_PID_NAMESPACE, True), ("pid:[4026532042]", False)):
        folder = tmp_path / namespace
        folder.mkdir()
        root = real.proc_like_this(folder, without=("self",))
        (folder / "self/ns").mkdir(parents=True)
        (folder / "self/ns/pid").symlink_to(namespace)
        for name in ("status", "stat", "mountinfo"):
            (folder / "self" / name).symlink_to(f"/proc/{os.getpid()}/{name}")
        forced = [preflight.check(1, root=root, force=True)] if not os.geteuid() else []
        assert forced in ([], [()])
        if protected:
            assert isinstance(refused(1, root=root), errors.ProtectedTarget)
        elif not os.geteuid():
            assert preflight.check(1, root=root) == ()


def test_pid_1_of_a_container_is_fine_from_inside_and_outside() -> None:
    real.need_root()
    code = "from straced.tracers.permissions import preflight; print(preflight.check(1), flush=True); input()"
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", f"{sys.executable} -c '{code}'; true"]
    program = subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "()\n"
        (first,) = procfs.children(program.pid)
        assert procfs.status(first)["NSpid"].split()[-1] == "1"
        assert preflight.check(first) == ()
    finally:
        program.communicate("\n", timeout=real.LIMIT_S)


def test_itself_and_its_ancestors() -> None:
    assert isinstance(refused(os.getpid()), errors.OwnProcess)
    outcome = real.seen_by(lambda: None, lambda: preflight.check(os.getppid()))
    assert outcome[0] is errors.OwnProcess


def test_helpers() -> None:
    with real.running() as pid:
        assert isinstance(refused(pid, helpers={pid}), errors.OwnProcess)


@pytest.mark.parametrize("name", ["strace", "gdb"])
def test_a_tracer_at_work_is_refused_and_an_idle_one_is_not(name: str) -> None:
    with real.forked(lambda: real.be_named(name)) as idle:
        assert preflight.check(idle) == ()
    with real.running() as pid, real.forked(lambda: (real.be_named(name), real.seize(pid))) as tracer:
        assert isinstance(refused(tracer), errors.OwnProcess)


def test_whoever_traces_us_directly_or_not_is_refused(tmp_path: Path) -> None:
    """On a made /proc only: two processes that trace each other cannot be killed."""
    root = Path(real.proc_like_this(tmp_path, without=("self",)))
    (root / "self").mkdir()
    own_status = Path("/proc/self/status").read_text().splitlines()
    with real.running() as tracer, real.running() as its_tracer, real.running() as other:
        for pid in (tracer, its_tracer, other):
            (root / str(pid)).mkdir()
            for name in ("stat", "cgroup"):
                (root / str(pid) / name).symlink_to(f"/proc/{pid}/{name}")
            lines = Path(f"/proc/{pid}/status").read_text()
            traced_by = its_tracer if pid == tracer else 0
            (root / str(pid) / "status").write_text(lines.replace("TracerPid:\t0", f"TracerPid:\t{traced_by}"))
        own_lines = [f"TracerPid:\t{tracer}" if line.startswith("TracerPid") else line for line in own_status]
        (root / "self/status").write_text("\n".join(own_lines))
        (root / "self/mountinfo").symlink_to(f"/proc/{os.getpid()}/mountinfo")
        for pid in (tracer, its_tracer):
            assert isinstance(refused(pid, root=str(root)), errors.OwnProcess)
        if not os.geteuid():
            assert preflight.check(other, root=str(root)) == ()


@pytest.mark.parametrize("version", [1, 2])
def test_frozen_by_its_cgroup(version: int) -> None:
    real.need_root()
    with real.running() as pid:
        with real.frozen(pid, version) as group:
            error = refused(pid)
            assert isinstance(error, errors.FrozenTarget)
            assert group in error.reason
        assert preflight.check(pid) == ()


@pytest.mark.parametrize(("hidepid", "kind"), [("noaccess", "NotPermitted"), ("invisible", "NoSuchProcess")])
def test_a_proc_that_hides_processes(hidepid: str, kind: str, tmp_path: Path) -> None:
    real.need_root()
    if not _reachable(tmp_path):
        unavailable("tmp_path", "other users cannot reach the folder of this test")

    def become() -> None:
        assert real.LIBC.unshare(real.CLONE_NEWNS) == 0
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "proc", "-o", f"hidepid={hidepid}", "proc", str(tmp_path)], check=True)
        real.be_nobody()

    def ask() -> str:
        before = after = type(None)
        try:
            preflight.check(pid, root=str(tmp_path))
        except errors.AttachError as error:
            before = type(error)
        after = type(preflight.explain_refusal(pid, root=str(tmp_path)))
        return f"{before.__name__} {after.__name__}"

    with real.running() as pid:
        assert real.seen_by(become, ask) == f"{kind} {kind}"


def test_a_refusal_that_nothing_explains_is_not_guessed() -> None:
    with real.running() as pid:
        error = preflight.explain_refusal(pid)
        assert type(error) is errors.NotPermitted
        assert "does not say why" in error.reason


def test_a_target_outside_the_user_namespace() -> None:
    real.need_root()
    if real.seen_by(lambda: None, lambda: real.LIBC.unshare(real.CLONE_NEWUSER)):
        unavailable("userns", "no user namespace can be made here")

    def become() -> None:
        assert real.LIBC.unshare(real.CLONE_NEWUSER) == 0
        Path("/proc/self/uid_map").write_text("0 0 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text("0 0 1")

    def ask() -> tuple[bool, tuple[int, ...], str]:
        capable = capabilities.caller().has("SYS_PTRACE")
        return capable, preflight.check(pid), preflight.explain_refusal(pid).reason

    with real.running() as pid:
        capable, before, after = real.seen_by(become, ask)
    assert capable
    assert before == ()
    assert "user namespace" in after


def test_an_interpreter_that_is_none_says_nothing_about_ptrace(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities.ptrace_blocked.cache_clear()
    for program in ("", "/bin/echo", "/nonexistent"):
        monkeypatch.setattr(sys, "executable", program)
        assert not capabilities.ptrace_blocked()
        capabilities.ptrace_blocked.cache_clear()


def test_a_target_that_ended_explains_the_refusal() -> None:
    with real.running() as pid:
        pass
    assert isinstance(preflight.explain_refusal(pid), errors.NoSuchProcess)
    with real.zombie() as pid:
        assert isinstance(preflight.explain_refusal(pid), errors.TargetIsZombie)


def test_a_stopped_target_is_left_to_the_tracer() -> None:
    with real.running() as pid:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: procfs.stat(pid).state == "T", real.LIMIT_S, "stopped")
        assert preflight.check(pid) == ()


def test_the_reader_of_our_output_is_known_and_a_fellow_writer_is_not_it() -> None:
    reader, writer = os.pipe()
    with real.running("cat", stdout=subprocess.DEVNULL) as stranger:
        listener = subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL)
        fellow = subprocess.Popen(["sleep", "60"], stdout=writer, stdin=subprocess.DEVNULL)
        try:
            os.close(reader)
            assert own.reads_from(listener.pid, writer)
            assert not own.reads_from(fellow.pid, writer)
            assert not own.reads_from(stranger, writer)
        finally:
            for program in (listener, fellow):
                program.kill()
                program.wait()
            os.close(writer)


def test_sudo_line_is_the_line_that_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/straced", "trace", "-o", "a b", "17"])
    assert capabilities.sudo_line(17).startswith("sudo /")
    assert capabilities.sudo_line(17).endswith(" trace -o 'a b' 17")
    monkeypatch.setattr(sys, "argv", ["/srv/daemon.py", "--secret"])
    assert capabilities.sudo_line(17).endswith(" attach 17")
