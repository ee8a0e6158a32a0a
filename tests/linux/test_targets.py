"""TARGET: what may be typed, and whom it names, with real processes, trees and cgroups."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from straced.errors import AmbiguousTarget, InvalidArgument, NoSuchProcess
from straced.linux import cgroups, procfs, targets
from straced.linux.targets import TargetSpec
from tests.support import process_states as real
from tests.support.poll import until


@pytest.mark.parametrize(
    "value", [0, -1, 2**31, 10**11, True, 1.0, "12abc", "", "17 999", "17,18", "+1", "-1", "١", "1_0"]
)
def test_what_is_not_a_pid(value: object) -> None:
    with pytest.raises(InvalidArgument):
        targets.validate_pid(value)


@given(st.one_of(st.integers(), st.text(), st.floats(), st.binary()))
@example("1\n")
@example("9" * 5000)
def test_a_pid_is_an_int_in_range_or_refused(value: object) -> None:
    with contextlib.suppress(InvalidArgument):
        pid = targets.validate_pid(value)
        assert type(pid) is int
        assert 1 <= pid <= targets.pid_max()
        assert str(value) in (str(pid), str(pid).zfill(len(str(value))))


@given(st.text())
def test_any_text_is_a_target_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        spec = targets.parse(text)
        assert spec.kind in targets.KINDS
        assert targets.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("17", "pid", "17"),
        ("pid:17", "pid", "17"),
        ("name:py*", "name", "py*"),
        ("unit:ssh", "unit", "ssh.service"),
        ("unit:a@b.service", "unit", "a@b.service"),
        ("unit:user.slice", "unit", "user.slice"),
        ("cgroup:/a/b", "cgroup", "/a/b"),
    ],
)
def test_how_a_target_is_read(text: str, kind: str, value: str) -> None:
    assert targets.parse(text) == TargetSpec(kind, value)


@pytest.mark.parametrize(
    "text", ["name:", "unit:", "unit:../x", "unit:a b", "cgroup:a", "cgroup:/../etc", "x:1", "pid:x", "python"]
)
def test_what_is_not_a_target(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        targets.parse(text)
    assert "name:GLOB" in caught.value.hint


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program with a name of its own, so that no other process of the machine has it."""
    path = tmp_path / f"t{uuid.uuid4().hex[:10]}"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path)
    return path


@contextlib.contextmanager
def family(name: Path) -> Iterator[int]:
    """A tree of three processes of one name: a parent that stays, with two children. Its root."""
    code = "import subprocess, sys\nall = [subprocess.Popen([sys.argv[1], '60']) for _ in range(2)]\n"
    code += "print('ready', flush=True)\ninput()\nfor each in all: each.kill(); each.wait()"
    parent = subprocess.Popen(
        [name.name, "-I", "-S", "-c", code, str(name)],
        executable=sys.executable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        until(
            lambda: all(procfs.stat(pid).comm == name.name for pid in procfs.children(parent.pid)),
            real.LIMIT_S,
            "both have exec'd",
        )
        yield parent.pid
    finally:
        parent.communicate("\n", timeout=real.LIMIT_S)


def resolved(text: str, **options: set[int]) -> tuple[int, ...]:
    return targets.resolve(targets.parse(text), **options)  # type: ignore[arg-type]


def test_a_pid_is_taken_unseen() -> None:
    assert resolved("1") == (1,)


def test_a_title_that_a_process_gives_itself_is_a_name(program: Path) -> None:
    title = f"{program.name}: 14/main: writer"
    process = subprocess.Popen([title, "60"], executable=program)
    try:
        until(lambda: procfs.cmdline(process.pid)[:1] == (title,), real.LIMIT_S, "it has exec'd")
        assert resolved(f"name:{program.name}: 14/* writer") == (process.pid,)
    finally:
        process.kill()
        process.wait()


def test_a_name_is_one_process(program: Path) -> None:
    with real.running(str(program), "60") as pid:
        assert resolved(f"name:{program.name}") == (pid,)
        assert resolved(f"name:{program.name[:6]}*") == (pid,)
        with pytest.raises(NoSuchProcess):
            resolved(f"name:{program.name[:6]}")


def test_an_ambiguous_name_is_refused_with_the_list(program: Path) -> None:
    with real.running(str(program), "60") as one, real.running(str(program), "61") as two:
        with pytest.raises(AmbiguousTarget) as caught:
            resolved(f"name:{program.name}")
        assert caught.value.candidates == tuple(sorted((one, two)))
        assert caught.value.exit_code == 2
        for pid in (one, two):
            assert f"{pid} (" in caught.value.reason


def test_a_tree_is_not_ambiguous_its_root_is_taken(program: Path) -> None:
    with family(program) as root:
        assert len(procfs.children(root)) == 2
        assert resolved(f"name:{program.name}") == (root,)


def test_helpers_and_itself_never_match(program: Path) -> None:
    with real.running(str(program), "60") as helper, real.running(str(program), "61") as pid:
        assert resolved(f"name:{program.name}", helpers={helper}) == (pid,)


def test_the_asking_process_never_matches_its_own_name() -> None:
    own = f"own{uuid.uuid4().hex[:8]}"

    def ask() -> tuple[int, ...]:
        real.be_named(own)
        with real.forked(lambda: real.be_named(own)) as child:
            assert resolved(f"name:{own}") == (child,)
        return resolved(f"name:{own}")

    kind, fields = real.seen_by(lambda: None, ask)
    assert kind is NoSuchProcess
    assert own in fields["reason"]


def test_kernel_threads_have_no_name_here() -> None:
    with contextlib.suppress(AmbiguousTarget), pytest.raises(NoSuchProcess):
        resolved("name:kthreadd")


@pytest.fixture
def group() -> Iterator[tuple[str, Path]]:
    """A cgroup of its own, by name and by folder."""
    real.need_root()
    for hierarchy in cgroups.hierarchies():
        folder = Path(hierarchy.mount, f"straced-{uuid.uuid4().hex[:8]}.service")
        with contextlib.suppress(OSError):
            folder.mkdir()
            if hierarchy.controllers and "name=systemd" not in hierarchy.controllers:
                folder.rmdir()
                continue
            break
    else:
        real.unavailable("cgroup", "none can be made here")
    yield f"/{folder.name}", folder
    for place in (*folder.iterdir(), folder):
        if place.is_dir():
            until(lambda place=place: not (place / "cgroup.procs").read_text(), real.LIMIT_S, "empty group")
            place.rmdir()


def test_a_cgroup_and_a_unit_are_the_trees_in_them(program: Path, group: tuple[str, Path]) -> None:
    name, folder = group
    (folder / "below").mkdir()
    with family(program) as root, real.running(str(program), "60") as other:
        for pid in (root, *procfs.children(root)):
            (folder / "cgroup.procs").write_text(str(pid))
        (folder / "below/cgroup.procs").write_text(str(other))
        everyone = tuple(sorted((root, other)))
        assert resolved(f"cgroup:{name}") == everyone
        assert resolved(f"cgroup:{folder}") == everyone
        assert resolved(f"unit:{name[1:]}") == everyone
        assert resolved(f"cgroup:{name}/below") == (other,)
        assert targets.resolve_all([TargetSpec("cgroup", name), TargetSpec("pid", str(root))]) == everyone


def test_an_empty_or_absent_group_is_nobody(group: tuple[str, Path]) -> None:
    for text in (f"cgroup:{group[0]}", f"unit:{group[0][1:]}", "cgroup:/no-such-group", "unit:no-such-unit"):
        with pytest.raises(NoSuchProcess) as caught:
            resolved(text)
        assert caught.value.exit_code == 3


def test_paths_of_a_hierarchy_that_shows_a_part_only() -> None:
    whole = cgroups.Hierarchy("/sys/fs/cgroup", frozenset(), "/")
    part = cgroups.Hierarchy("/sys/fs/cgroup", frozenset(), "/docker/abc")
    assert cgroups.folder("/a/b", whole) == "/sys/fs/cgroup/a/b"
    assert cgroups.folder("/", whole) == "/sys/fs/cgroup"
    assert cgroups.folder("/docker/abc/x", part) == "/sys/fs/cgroup/x"
    assert cgroups.folder("/docker/abc", part) == "/sys/fs/cgroup"
