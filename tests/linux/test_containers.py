"""Containers and pods by the names of their cgroups, as each runtime makes them, and by what engines and kubelets tell.

Of `linux/containers.py`, `linux/container_names.py` and `linux/container_matching.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.config.watch_rules import parse as parse_rule
from straced.errors import AmbiguousTarget, NoSuchProcess
from straced.linux import cgroups, container_names, containers, procfs, targets
from straced.linux.container_matching import ContainerMatcher
from straced.linux.container_names import ContainerNames, Name
from straced.linux.containers import Container, in_path
from straced.service.collect.watchlist import Watchlist
from tests.support import process_states as real
from tests.support.cli import straced
from tests.support.poll import until

ID = "4e5021cb5b7c2f9a1d0b" + 44 * "7"
OTHER = "f" * 64
POD = "12345678-9abc-def0-1234-56789abcdef0"
LOW = POD.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"
PATHS = {
    f"/docker/{ID}": Container(ID, "docker"),
    f"/system.slice/docker-{ID}.scope": Container(ID, "docker"),
    f"/system.slice/docker-{ID}.scope/init": Container(ID, "docker"),
    f"/system.slice/nerdctl-{ID}.scope": Container(ID, "containerd"),
    f"/default/{ID}": Container(ID, ""),
    f"/machine.slice/libpod-{ID}.scope": Container(ID, "podman"),
    f"/machine.slice/libpod-{ID}.scope/container": Container(ID, "podman"),
    f"/libpod_parent/libpod-{ID}": Container(ID, "podman"),
    f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope": Container(ID, "podman"),
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{LOW}.slice/cri-containerd-{ID}.scope": Container(
        ID, "containerd", POD
    ),
    f"/kubepods.slice/kubepods-pod{LOW}.slice/crio-{ID}.scope/container": Container(ID, "cri-o", POD),
    f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{LOW}.slice/docker-{ID}.scope": Container(
        ID, "docker", POD
    ),
    f"/kubepods/burstable/pod{POD}/{ID}": Container(ID, "", POD),
    f"/kubepods/pod{STATIC}/{ID}": Container(ID, "", STATIC),
    f"/docker/{OTHER}/kubelet.slice/kubepods/besteffort/pod{POD}/{ID}": Container(ID, "", POD),
    f"/../../docker/{ID}": Container(ID, "docker"),
}


@pytest.mark.parametrize("path", PATHS)
def test_how_runtimes_name_cgroups(path: str) -> None:
    assert in_path(path)[-1] == PATHS[path]


@pytest.mark.parametrize(
    "path",
    ["/", "/system.slice/ssh.service", "/docker", f"/machine.slice/libpod-conmon-{ID}.scope", f"/docker/{ID[:63]}",
     f"/system.slice/crio-conmon-{ID}.scope", f"/kubepods.slice/kubepods-pod{LOW}.slice", "/docker.service"],
)  # fmt: skip
def test_what_is_no_container(path: str) -> None:
    assert in_path(path) == []


def test_a_container_in_another_is_in_both() -> None:
    assert [each.id for each in in_path(f"/docker/{OTHER}/docker/{ID}")] == [OTHER, ID]


# --- real processes in real cgroups ---


@contextlib.contextmanager
def in_group(path: str, *pids: int) -> Iterator[None]:
    """Put processes into a cgroup of this path, made for them; all that was made is removed, when they have left it."""
    hierarchy = next(
        each for each in cgroups.hierarchies() if not each.controllers or "name=systemd" in each.controllers
    )
    made = []
    place = Path(hierarchy.mount)
    for part in path.strip("/").split("/"):
        place /= part
        if not place.exists():
            place.mkdir()
            made.append(place)
    homes = {pid: cgroups.memberships(pid) for pid in pids}
    for pid in pids:
        (place / "cgroup.procs").write_text(str(pid))
    try:
        yield
    finally:
        for pid in pids:
            group = next(at for names, at in homes[pid] if names == hierarchy.controllers)
            with contextlib.suppress(OSError):
                Path(cgroups.folder(group, hierarchy), "cgroup.procs").write_text(str(pid))
        for each in reversed(made):
            until(lambda each=each: not (each / "cgroup.procs").read_text(), real.LIMIT_S, "empty group")
            each.rmdir()


def fresh() -> str:
    return uuid.uuid4().hex + uuid.uuid4().hex


@pytest.mark.needs("root", "freezer")
@pytest.mark.parametrize(
    "path", ["/docker/{id}", "/system.slice/docker-{id}.scope", "/machine.slice/libpod-{id}.scope/container",
             "/kubepods.slice/kubepods-pod{low}.slice/cri-containerd-{id}.scope", "/kubepods/burstable/pod{uid}/{id}",
             "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{low}.slice/crio-{id}.scope"],
)  # fmt: skip
def test_a_container_is_the_trees_in_it(path: str) -> None:
    name, pod = fresh(), str(uuid.uuid4())
    with real.running("sleep", "60") as inside, real.running("sleep", "60") as beside:
        with in_group(path.format(id=name, uid=pod, low=pod.replace("-", "_")), inside):
            assert targets.resolve(targets.parse(f"container:{name[:12]}")) == (inside,)
            assert targets.resolve(targets.parse(f"container:{name}")) == (inside,)
            if "pod" in path.replace("libpod", ""):
                assert targets.resolve(targets.parse(f"pod:{pod}")) == (inside,)
            assert beside not in targets.matching(targets.parse(f"container:{name}"))
        with pytest.raises(NoSuchProcess):
            targets.resolve(targets.parse(f"container:{name[:12]}"))


@pytest.mark.needs("root", "freezer")
@pytest.mark.parametrize("same", [8, 32])
def test_an_id_that_two_begin_with_is_refused_with_both(same: int) -> None:
    begin = uuid.uuid4().hex[:same]
    ids = [begin + f"{number}" * (64 - same) for number in (1, 2)]
    with contextlib.ExitStack() as stack:
        for each in ids:
            stack.enter_context(in_group(f"/docker/{each}", stack.enter_context(real.running("sleep", "60"))))
        with pytest.raises(AmbiguousTarget) as caught:
            targets.resolve(targets.parse(f"container:{begin}"))
        assert caught.value.hint.startswith("name one: container:")
        (one,) = targets.resolve(targets.parse(caught.value.hint.removeprefix("name one: ")))
        assert containers.around(one)[-1].id in ids


@pytest.mark.needs("root", "freezer")
def test_the_service_labels_who_is_in_one() -> None:
    name, pod = fresh(), str(uuid.uuid4())
    with real.running("sleep", "60") as inside, in_group(f"/kubepods/pod{pod}/{name}", inside):
        watchlist = Watchlist()
        watchlist.replace_rules([parse_rule(f"container:{name[:12]}", {"job": "db"})])
        watchlist.look()
        assert watchlist.watched[inside].labels == {"container": name[:12], "pod": pod, "job": "db"}
        assert set(watchlist.watched) == {inside}


@pytest.mark.needs("root", "freezer")
def test_top_and_doctor_show_it() -> None:
    name = fresh()
    with real.running("sleep", "60") as inside, in_group(f"/docker/{name}", inside):
        frame = straced("top", "--once", "--json", "--source", "local", f"container:{name[:12]}").json()
        (row,) = (each for each in frame["processes"] if each["pid"] == inside)
        assert (row["container"], row["job"]) == (name[:12], f"container:{name[:12]}")
        found = straced("doctor", str(inside), "--json").json()["about_target"]
        assert f"docker, {name[:12]}, {name[:12]}" in {each["detail"] for each in found if each["name"] == "container"}


@pytest.mark.needs("root", "pidns")
def test_the_pid_inside() -> None:
    process = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "60"])
    try:
        until(lambda: procfs.children(process.pid), real.LIMIT_S, "the process inside")
        (inside,) = procfs.children(process.pid)
        assert containers.inner_pid(inside) == 1
        assert containers.inner_pid(os.getpid()) is None
    finally:
        process.kill()
        process.wait()


def test_where_straced_itself_is_is_no_container_of_others(tmp_path: Path) -> None:
    for pid, path in ((os.getpid(), f"/docker/{OTHER}"), (7, f"/docker/{OTHER}"), (8, f"/docker/{OTHER}/docker/{ID}")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(f"0::{path}\n")
    matcher = ContainerMatcher(str(tmp_path), ContainerNames((), "/nonexistent"))
    assert matcher.inside(7) == ()
    assert matcher.name(matcher.inside(8)) == ID[:12]


# --- names ---


@contextlib.contextmanager
def engine(path: Path, answer: bytes, *, hold: bool = False) -> Iterator[None]:
    """Somebody who answers each request on a socket so; one who holds it never ends an answer."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        held: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.recv(65536)
                    connection.sendall(answer)
                    held.append(connection) if hold else connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in held:
                each.close()


def listing(*found: dict[str, object]) -> bytes:
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(found).encode()


def test_names_from_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_names, "TIMEOUT_S", 30.0)  # it is slow only where the machine is
    labels = {f"io.kubernetes.{key}": key for key in ("pod.name", "pod.namespace", "container.name")}
    said = listing(
        {"Id": ID, "Names": ["/web\x1b[2J"]}, {"Id": OTHER, "Names": ["/k8s_x"], "Labels": labels}, {"Id": 3}, {}
    )
    with engine(tmp_path / "s", said):
        names = ContainerNames((str(tmp_path / "s"),), "/nonexistent")
        names.refresh()
    assert names.labels(Container(ID, "docker")) == {"container": "web\\x1b[2J"}
    assert names.labels(Container(OTHER, "docker")) == {"container": "container.name", "pod": "pod.namespace/pod.name"}


def test_names_from_a_kubelet(tmp_path: Path) -> None:
    (tmp_path / "pods" / f"shop_web-0_{POD}").mkdir(parents=True)
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / f"web-0_shop_nginx-{ID}.log").touch()
    names = ContainerNames((), str(tmp_path))
    names.refresh()
    assert names.labels(Container(ID, "", POD)) == {"container": "nginx", "pod": "shop/web-0"}
    assert names.labels(Container(OTHER, "", POD)) == {"container": OTHER[:12], "pod": "shop/web-0"}
    matcher = ContainerMatcher(names=names)
    assert matcher.matches("pod", "shop/web-0", [Container(OTHER, "", POD)])
    assert matcher.matches("container", "nginx", [Container(ID, "", POD)])
    assert not matcher.matches("container", "nginx", [Container(OTHER, "", POD)])
    assert not matcher.matches("pod", "shop/web-1", [Container(ID, "", POD)])


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.0 500 No\r\n\r\n[]", b"HTTP/1.0 200 OK\r\n\r\n{", b"HTTP/1.0 200 OK\r\n\r\n{\"a\": 1}",
             b"HTTP/1.0 200 OK\r\n\r\n[1, null, {\"Id\": \"x\", \"Names\": [3], \"Labels\": []}]", b"\xff" * 100],
)  # fmt: skip
def test_an_engine_that_talks_rubbish_names_nobody(tmp_path: Path, said: bytes) -> None:
    with engine(tmp_path / "s", said):
        assert [name for name in container_names.of_engine(str(tmp_path / "s")) if name[1] != Name("")] == []


def test_an_engine_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    with engine(tmp_path / "s", b"HTTP/1.0 200 OK\r\n", hold=True):
        began = time.monotonic()
        assert list(container_names.of_engine(str(tmp_path / "s"))) == []
        assert time.monotonic() - began < 5
    assert list(container_names.of_engine(str(tmp_path / "nobody"))) == []
