"""The harness itself: limits that end a test, a world that is looked at, skips that can be made failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support import proc
from tests.support.needs import unavailable
from tests.support.poll import until
from tests.support.world import MARKER, WORLD

pytestmark = [pytest.mark.needs("strace", "cc"), pytest.mark.limit(120)]
ROOT = Path(__file__).parent.parent.parent


def nested(folder: Path, code: str, *words: str, **env: str) -> tuple[int, str]:
    """Run tests of ``code`` with the fixtures of this suite; the exit status, and all that was said."""
    path = folder / "test_nested.py"
    path.write_text("import os, signal, subprocess, tempfile, time, pytest\n" + textwrap.dedent(code))
    environment = {key: value for key, value in os.environ.items() if key not in (MARKER, "PYTEST_ADDOPTS")}
    environment |= {"PYTHONPATH": f"{ROOT}:{environment.get('PYTHONPATH', '')}", **env}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull,
         f"--rootdir={folder}", f"--basetemp={folder / 'base'}", "-o", "asyncio_mode=auto", *words, str(path)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=100, start_new_session=True, check=False,
    )  # fmt: skip
    return result.returncode, result.stdout


def test_a_frozen_run_is_ended_and_the_test_named(tmp_path: Path) -> None:
    status, said = nested(
        tmp_path,
        """
        @pytest.mark.limit(1)
        def test_frozen():
            subprocess.Popen(["sleep", "600"], env={}, start_new_session=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        """,
        STRACED_TEST_GRACE="1",
    )
    assert status == -signal.SIGKILL, said
    assert "hard limit: test_nested.py::test_frozen" in said


ASIDE = """
    from pathlib import Path
    from tests.support import proc
    from tests.support.aside import Aside
    from tests.support.poll import until

    @pytest.fixture(scope="module")
    def job(tmp_path_factory):
        script = "echo $$; while read line; do sleep 600 & echo $!; done <>go"
        os.mkfifo("go")
        with Aside(["sh", "-c", script], Path("said").absolute()) as job:
            yield job
            job.end()
            Path("ended").touch()

    def said():
        return [int(line) for line in Path("said").read_text().split()]

    @pytest.fixture
    def spawned(job):
        until(said)
        with open("go", "w") as go:
            go.write("please\\n")
        until(lambda: len(said()) == 2)
    """


def test_what_works_beside_the_tests_is_in_no_ones_world(tmp_path: Path) -> None:
    if not WORLD.cgroup:
        unavailable("cgroup", "none can be made here")
    code = """
        def test_during(world, spawned):
            pass

        def test_after(job):
            assert all(map(proc.alive, said()))
        """
    status, said = nested(tmp_path, textwrap.dedent(ASIDE) + textwrap.dedent(code))
    assert status == 0, said
    assert not any(map(proc.alive, map(int, (tmp_path / "said").read_text().split())))


def test_and_it_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    if not WORLD.cgroup:
        unavailable("cgroup", "none can be made here")
    code = """
        def test_killed(spawned):
            os.kill(os.getpid(), signal.SIGKILL)
        """
    status, said = nested(tmp_path, textwrap.dedent(ASIDE) + textwrap.dedent(code))
    assert status == -signal.SIGKILL, said
    pids = [int(line) for line in (tmp_path / "said").read_text().split()]
    assert len(pids) == 2
    until(lambda: not any(map(proc.alive, pids)), 10, "the watchdog ends what worked beside")


MANY = """
    kept = []

    @pytest.mark.limit(1)
    async def test_slow_in_a_loop():
        import asyncio
        await asyncio.sleep(30)

    def test_child():
        kept.append(subprocess.Popen(["sleep", "600"]))

    def test_child_that_hides():
        subprocess.run(["setsid", "--fork", "sleep", "600"], env={"PATH": os.environ["PATH"]})

    def test_descriptor():
        os.open("/etc/passwd", os.O_RDONLY)

    def test_file():
        kept.append(tempfile.mkdtemp())

    def test_zombie():
        kept.append(subprocess.Popen(["true"]))
        os.waitid(os.P_PID, kept[-1].pid, os.WEXITED | os.WNOWAIT)

    def test_stopped(start):
        from tests.support import proc
        from tests.support.poll import until
        target = start("tick")
        target.signal(signal.SIGSTOP)
        until(lambda: proc.state(target.pid) == "T")

    def test_traced(start):
        from tests.support import proc
        from tests.support.poll import until
        target = start("tick")
        tracer = subprocess.Popen(["strace", "-c", "-o", "/dev/null", "-p", str(target.pid)], stderr=subprocess.DEVNULL)
        until(lambda: not target.untraced())
        kept.append(tracer)

    def test_clean(start):
        assert start("tick").runs()

    @pytest.mark.needs("nothing-like-it")
    def test_needs():
        pass
    """
NEED = """
    from tests.support import needs
    needs.CHECKS["nothing-like-it"] = lambda: "is not here"
    """


def test_what_a_test_leaves_behind_fails_it(tmp_path: Path) -> None:
    if not WORLD.cgroup:
        pytest.skip("cgroup: none can be made here, and nothing else finds a process with another session and parent")
    status, said = nested(tmp_path, textwrap.dedent(NEED) + textwrap.dedent(MANY), STRACED_TEST_PATIENCE="0.5")
    assert status == 1, said
    for name, message in {
        "test_slow_in_a_loop": "over its limit of 1 s",
        "test_child": "left running",
        "test_child_that_hides": "left running",
        "test_descriptor": "left open",
        "test_file": "left in TMPDIR",
        "test_zombie": "left as a zombie",
        "test_stopped": "was left in state T",
        "test_traced": "is still traced by",
    }.items():
        section = said.partition(f" {name} ___")[2].partition("\n____")[0]
        assert message in section, (name, said)
    assert "test_nested.py::test_clean" not in said, "nothing is wrong with a clean one"
    assert "SKIPPED" in said or "1 skipped" in said


def test_a_skip_is_a_failure_where_it_is_required(tmp_path: Path) -> None:
    code = """
        @pytest.mark.needs("nothing-like-it")
        def test_needs():
            pass
        """
    status, said = nested(
        tmp_path, textwrap.dedent(NEED) + textwrap.dedent(code), STRACED_REQUIRE="ebpf,nothing-like-it"
    )
    assert status == 1, said
    assert "required here, and missing: nothing-like-it: is not here" in said
