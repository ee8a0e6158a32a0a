"""The mechanism itself: names, modes, what is replaced and what never is."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

import pytest

from straced.errors import OutputError, OutputExists
from straced.linux import output_file
from straced.linux.output_file import OutputFile
from tests.support import proc


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with nothing in it."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_appears_when_it_is_complete(folder: Path, overwrite: bool) -> None:
    path = folder / "out"
    before = proc.fds()
    with OutputFile(path, overwrite=overwrite) as file:
        file.text.write("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(folder) == ["out"]
    assert path.stat().st_nlink == 1
    assert proc.fds().keys() <= before.keys()


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_the_mode_is_the_one_asked_for(folder: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        for name, mode in (("private", 0o600), ("public", 0o644)):
            with OutputFile(folder / name, mode=mode) as file:
                file.text.write("x")
    finally:
        os.umask(old)
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in ("private", "public")]
    assert modes == [0o600 & ~umask, 0o644]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_exception_leaves_what_was_there(folder: Path, overwrite: bool) -> None:
    if overwrite:
        (folder / "out").write_text("old")
    with contextlib.suppress(KeyError), OutputFile(folder / "out", overwrite=overwrite) as file:
        file.text.write("new")
        raise KeyError
    assert [path.read_text() for path in folder.iterdir()] == ["old"] * overwrite


def test_without_overwrite_nothing_is_ever_replaced(folder: Path) -> None:
    """Somebody makes the file after it was found to be free."""
    path = folder / "out"
    file = OutputFile(path)
    file.text.write("ours")
    path.write_text("theirs")
    with pytest.raises(OutputExists):
        file.commit()
    assert path.read_text() == "theirs"
    assert os.listdir(folder) == ["out"]


NO_NAMELESS = os.O_RDWR
"""EISDIR is the answer, as of a file system or a kernel that has no files without names."""


@pytest.mark.parametrize("flags", [NO_NAMELESS, output_file._NAMELESS], ids=["named", "nameless"])
@pytest.mark.parametrize("theirs", ["", "theirs"])
def test_nor_where_there_are_no_hard_links(
    folder: Path, monkeypatch: pytest.MonkeyPatch, theirs: str, flags: int
) -> None:
    """As the kernel answers on vfat; also on one that has files without names nevertheless."""

    def refuse(*words: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(output_file, "_NAMELESS", flags)
    path = folder / "out"
    if theirs:
        file = OutputFile(path)
        path.write_text(theirs)
        with pytest.raises(OutputExists):
            file.commit()
    else:
        with OutputFile(path) as file:
            file.text.write("ou")
            file.commit()
            file.text.write("rs")
    assert path.read_text() == (theirs or "ours")
    assert os.listdir(folder) == ["out"]


def test_what_becomes_a_link_meanwhile_is_left(folder: Path) -> None:
    path = folder / "out"
    (folder / "victim").write_text("precious")
    file = OutputFile(path, overwrite=True)
    file.text.write("ours")
    path.symlink_to("victim")
    with pytest.raises(OutputError, match="a link"):
        file.commit()
    assert path.is_symlink()
    assert (folder / "victim").read_text() == "precious"
    assert sorted(os.listdir(folder)) == ["out", "victim"]


def test_a_temporary_file_that_is_exchanged_is_not_taken_for_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_file, "_NAMELESS", NO_NAMELESS)
    file = OutputFile(folder / "out")
    file.text.write("ours")
    (name,) = os.listdir(folder)
    os.unlink(folder / name)
    (folder / name).write_text("theirs")
    with pytest.raises(OutputError, match="exchanged"):
        file.commit()


def test_a_directory_that_is_moved_takes_its_file_along(folder: Path) -> None:
    """The descriptor decides, not the path: what has its name now is not met."""
    with OutputFile(folder / "out") as file:
        file.text.write("x")
        folder.rename(folder.with_name("moved"))
        folder.mkdir()
    assert os.listdir(folder) == []
    assert (folder.with_name("moved") / "out").read_text() == "x"


def test_it_may_grow_under_its_name(folder: Path) -> None:
    path = folder / "out"
    with contextlib.suppress(KeyError), OutputFile(path) as file:
        file.text.write("first\n")
        file.commit()
        assert path.read_text() == "first\n"
        file.text.write("second\n")
        file.commit()
        assert path.read_text() == "first\nsecond\n"
        raise KeyError
    assert path.read_text() == "first\nsecond\n", "what has its name is kept"


def test_it_can_be_discarded_under_its_name(folder: Path) -> None:
    before = proc.fds()
    file = OutputFile(folder / "out")
    file.commit()
    assert len(proc.fds()) == len(before) + 1, "no more than a trace needs while it lasts"
    file.discard()
    assert os.listdir(folder) == []
    assert proc.fds().keys() <= before.keys()


def test_what_took_its_name_is_not_discarded(folder: Path) -> None:
    file = OutputFile(folder / "out")
    file.commit()
    os.replace(folder / "out", folder / "moved")
    (folder / "out").write_text("theirs")
    file.discard()
    assert sorted(os.listdir(folder)) == ["moved", "out"]


@pytest.mark.parametrize("name", ["x" * 255, "a\nb", "|touch owned", "-", "\udcff", "ä" * 120])
def test_a_name_is_only_a_name(folder: Path, name: str) -> None:
    with OutputFile(folder / name) as file:
        file.binary.write(b"x")
    assert os.listdir(folder) == [name]


@pytest.mark.parametrize("path", ["", ".", "..", "/", "a\0b", "a\0/b", "/proc/x", "x" * 256])
def test_what_is_no_name_is_a_typed_error(folder: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(folder)
    before = proc.fds()
    with pytest.raises(OutputError):
        OutputFile(Path(path))
    assert proc.fds().keys() <= before.keys()
    assert os.listdir(folder) == []
