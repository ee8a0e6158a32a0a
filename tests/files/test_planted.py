"""Root writes where another user may plant names: never through them, never over what they lead to.

Of `linux/output_refusals.py`.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from straced.config import schema
from straced.errors import OutputError, StracedError
from straced.linux.kept_file import open_kept
from straced.linux.output_file import OutputFile
from straced.manager.helper_journal import Journal
from straced.service.daemon import unit
from straced.service.metrics.openmetrics import Totals
from straced.service.sinks.ndjson import NdjsonSink
from straced.store.database import StoreError, private_folder
from straced.web.token import TokenFile
from tests.files.conftest import Shared
from tests.files.rival import NOBODY, plant
from tests.support.cli import straced

pytestmark = pytest.mark.needs("root", "setpriv")
NAME = "straced.prom"
TRACE = Path(__file__).with_name("one.strace")


def by_stream(path: Path) -> None:
    stream = NdjsonSink(schema.StreamConfig(path=str(path), max_bytes=schema.Bytes(5000), files=2))
    try:
        with contextlib.suppress(OSError):
            stream._write(b"{}\n")
    finally:
        stream.close()


def by_journal(path: Path) -> None:
    with contextlib.suppress(OSError):
        Journal(path).add(os.getpid())
    Journal(path).compact()


WRITERS: dict[str, Callable[[Path], object]] = {
    "textfile": lambda path: Totals(10).write_textfile(str(path)),
    "unit": unit.install,
    "token": lambda path: TokenFile(path).write("127.0.0.1:1"),
    "stream": by_stream,
    "journal": by_journal,
    "metrics": lambda path: straced("metrics", "-o", path, env={"STRACED_SOCKET": "/nonexistent"}),
    "report": lambda path: straced("report", TRACE, "--html", path, "--overwrite"),
    "bundle": lambda path: straced("why", os.getpid(), "-d", "10ms", "--bundle", path),
    "run": lambda path: straced("run", "--tracer", "strace", "-o", path, "--overwrite", "--", "true"),
}
PLANTED = {
    "a link": "os.symlink(victim, name)",
    "a dangling link": "os.symlink(victim + '.new', name)",
    "a link to a link": "os.symlink(victim, name + '.next'); os.symlink(name + '.next', name)",
    "a FIFO": "os.mkfifo(name, 0o666)",
    "a file": "os.close(os.open(name, os.O_CREAT, 0o666))",
    "a directory": "os.mkdir(name, 0o777)",
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("what", PLANTED)
def test_what_has_the_name_is_not_followed(shared: Shared, writer: str, what: str) -> None:
    names = (NAME, f".{NAME}.new", f".{NAME}.{os.getpid()}")  # the last two: what was easily guessed
    code = [f"name, victim = {name!r}, {str(shared.victim)!r}; {PLANTED[what]}" for name in names]
    plant("\n".join(code), shared.folder)
    with contextlib.suppress(StracedError):
        WRITERS[writer](shared.folder / NAME)
    shared.assert_unharmed()
    found = (shared.folder / NAME).lstat()
    if found.st_uid == 0:  # written all the same: a new file of root's, that the other cannot write to
        assert stat.S_ISREG(found.st_mode)
        assert not found.st_mode & 0o022
    else:
        assert found.st_uid == NOBODY, "what the other made is the other's still"
        assert found.st_size < 4096 or stat.S_ISDIR(found.st_mode)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_second_name_of_a_file_is_not_written_through(shared: Shared, writer: str) -> None:
    """As if the other had made it, which fs.protected_hardlinks allows for files that may be written to."""
    other = shared.folder.parent / "hard"
    other.write_text("precious")
    (shared.folder / NAME).hardlink_to(other)
    with contextlib.suppress(StracedError):
        WRITERS[writer](shared.folder / NAME)
    assert other.read_text() == "precious"
    assert other.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("writer", WRITERS)
def test_a_directory_that_is_another_users_link(shared: Shared, writer: str) -> None:
    plant(f"os.symlink({str(shared.private)!r}, 'link')", shared.folder)
    plant("os.symlink('link', 'again')", shared.folder)
    for name in ("link", "again"):
        with contextlib.suppress(StracedError):
            WRITERS[writer](shared.folder / name / NAME)
        shared.assert_unharmed()


def test_the_error_says_whose_link_it_is(shared: Shared) -> None:
    plant(f"os.symlink({str(shared.private)!r}, 'link')", shared.folder)
    result = straced("report", TRACE, "--html", shared.folder / "link" / "page")
    result.assert_clear_error(2)
    assert "another user's" in result.err
    assert "link/page" in result.err


def test_a_state_directory_behind_a_link_is_refused(shared: Shared) -> None:
    """Made there, and then trusted, for what it leads to is root's alone."""
    plant(f"os.symlink({str(shared.private)!r}, 'link')", shared.folder)
    for folder in (shared.folder / "link", shared.folder / "link" / "straced"):
        with pytest.raises(StoreError, match="another user's"):
            private_folder(folder)
        with contextlib.suppress(OSError):
            Journal(folder / "journal").add(os.getpid())
        shared.assert_unharmed()


def test_ones_own_link_is_followed(shared: Shared) -> None:
    """The user named it, and nobody else made it."""
    (shared.folder / "mine").symlink_to(shared.private)
    with OutputFile(shared.folder / "mine" / "out") as file:
        file.text.write("x")
    assert (shared.private / "out").read_text() == "x"


def test_a_guessed_name_of_a_command_line(shared: Shared) -> None:
    """``straced metrics`` wrote under its pid first: links for the pids to come."""
    last = int(Path("/proc/loadavg").read_text().split()[-1])
    plant(f"[os.symlink({str(shared.victim)!r}, f'.x.{{n}}') for n in range({last}, {last} + 3000)]", shared.folder)
    straced("metrics", "--textfile", shared.folder / "x", env={"STRACED_SOCKET": "/nonexistent"}).assert_clear_error(6)
    shared.assert_unharmed()
    assert not (shared.folder / "x").exists()


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY | os.O_APPEND])
def test_a_file_that_stays_is_ours(shared: Shared, flags: int) -> None:
    plant("os.mkfifo('fifo'); os.close(os.open('file', os.O_CREAT, 0o666))", shared.folder)
    (shared.folder / "twice").hardlink_to(shared.victim)
    for name in ("fifo", "file", "twice"):
        with pytest.raises(OSError, match=r"not a regular file of ours|No such device"):
            open_kept(shared.folder / name, flags)
    os.close(open_kept(shared.folder / "new", flags))
    assert (shared.folder / "new").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileNotFoundError) as refused:
        open_kept(shared.folder / "none", os.O_RDONLY)
    assert refused.value.filename == str(shared.folder / "none")


def test_a_device_of_that_name_stays_a_device(tmp_path: Path) -> None:
    """The old way put a file in place of /dev/null, for everybody."""
    null = tmp_path / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    Totals(10).write_textfile(str(null))
    with pytest.raises(OutputError, match="a device"):
        unit.install(null)
    straced("metrics", "-o", null).assert_clear_error(2)
    assert stat.S_ISCHR(null.stat().st_mode)
    assert null.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old


@pytest.mark.needs("strace", "tmpfs")
def test_the_torn_line_of_a_full_disk_is_cut_off_our_own_file(shared: Shared) -> None:
    """The trace's name leads to the victim by the time its disk is full: that one was cut, to nothing."""
    script = f"""
        mount -t tmpfs -o size=256k,mode=0777 none {shared.folder} || exit 99
        (ulimit -t 20; exec cat /dev/urandom > /dev/null) & target=$!
        setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups sh -c '
            cd {shared.folder}
            until [ -e trace ]; do :; done
            rm -f trace; ln -s {shared.victim} trace' &
        "$@" "$target"; status=$?
        kill $target
        exit $status
    """
    words = ("unshare", "--mount", "sh", "-c", script, "sh")
    result = straced("trace", "-o", shared.folder / "trace", "-p", prefix=words)
    assert result.status == 2, result.err
    assert "full" in result.err
    shared.assert_unharmed()


@pytest.mark.needs("tmpfs")
def test_the_root_of_another_process_is_where_the_kernel_says(tmp_path: Path) -> None:
    """Links of /proc lead where no name leads: the text of this one is ``/``, which is another place."""
    script = f"mount -t tmpfs none {tmp_path} && echo there && exec sleep 60"
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"there\n"
        inside = Path(f"/proc/{holder.pid}/root/{tmp_path}")
        with OutputFile(inside / "out") as file:
            file.text.write("x")
        assert (inside / "out").read_text() == "x"
        assert not (tmp_path / "out").exists()
    finally:
        holder.kill()
        holder.communicate()
