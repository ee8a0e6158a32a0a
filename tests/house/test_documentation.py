"""Every public name is documented in full: what it does or is, arguments, results, errors."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import straced
import straced.waits.model
from straced import blocking, client, errors
from straced.errors import InvalidArgument, NoSuchProcess, StracedError
from tests.house import documented
from tests.house.documented import of_class, of_function, parse, raised_by


def public() -> dict[str, Any]:
    """The public functions and classes by their names."""
    found = {f"straced.{name}": getattr(straced, name) for name in straced.__all__}
    for module in (client, blocking):
        found |= {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
    for module in (errors, straced.waits.model):
        own = {name: each for name, each in vars(module).items() if getattr(each, "__module__", "") == module.__name__}
        found |= {f"{module.__name__}.{name}": each for name, each in own.items() if inspect.isclass(each)}
    return {name: each for name, each in found.items() if callable(each)}


def test_there_are_public_names() -> None:
    assert len(public()) > 70


@pytest.mark.parametrize("name", public())
def test_it_is_documented_in_full(name: str) -> None:
    each = public()[name]
    assert (of_class(each) if inspect.isclass(each) else of_function(name, each)) == []


# --- the check sees what is planted ---


def _refuse(pid: int) -> None:
    raise NoSuchProcess("gone", pid=pid)


def _refused(pid: int) -> NoSuchProcess:
    return NoSuchProcess("gone", pid=pid)


def caught(pid: int) -> None:
    """Find a process.

    Args:
        pid: its number.
    """
    try:
        _refuse(pid)
    except StracedError as error:
        print(error)


def no_args(pid: int) -> None:
    """Find a process."""


def another_arg(pid: int) -> None:
    """Find a process.

    Args:
        pid: its number.
        tid: one that is none.
    """


def no_returns() -> int:
    """Find a process."""
    return 1


def returns_nothing() -> None:
    """Find a process.

    Returns:
        A pid.
    """


def none_untold() -> int | None:
    """Find a process.

    Returns:
        Its pid.
    """


def wrong_type(pid: int) -> None:
    """Find a process.

    Args:
        pid (str): its number.
    """


def untold_error(pid: int) -> None:
    """Find a process.

    Args:
        pid: its number.
    """
    _refuse(pid)


def untold_made_error(pid: int) -> None:
    """Find a process.

    Args:
        pid: its number.
    """
    raise _refused(pid)


def unknown_error(pid: int) -> None:
    """Find a process.

    Args:
        pid: its number.

    Raises:
        NoSuchError: there is none.
    """


def no_imperative(pid: int) -> None:
    """A process that was found.

    Args:
        pid: its number.
    """


class Holder:
    """Hold what finds processes."""

    def __init__(self) -> None:
        """Make it."""
        self._inner = Finder()

    def find(self) -> None:
        """Find a process."""
        self._inner.find()


class Finder:
    """Find processes."""

    def find(self) -> None:
        """Find a process."""
        self._check()

    def _check(self) -> None:
        raise InvalidArgument("no")


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (no_args, "pid is not in Args"),
        (another_arg, "tid, which is no parameter"),
        (no_returns, "no Returns"),
        (returns_nothing, "nothing is returned"),
        (none_untold, "disagree about None"),
        (wrong_type, "told as str"),
        (untold_error, "NoSuchProcess is raised"),
        (untold_made_error, "NoSuchProcess is raised"),
        (unknown_error, "which is no error"),
        (no_imperative, "no imperative"),
    ],
)
def test_the_check_sees(function: Any, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documented, "PACKAGES", ("straced", __name__))
    assert len(found := of_function(function.__name__, function)) == 1
    assert word in found[0]


def test_what_is_caught_is_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documented, "PACKAGES", ("straced", __name__))
    assert of_function("caught", caught) == []


def test_errors_are_followed_through_methods_and_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documented, "PACKAGES", ("straced", __name__))
    assert raised_by(Holder.find, Holder) == {InvalidArgument}


def test_sections_are_read_with_lines_that_go_on() -> None:
    doc = parse("Do it.\n\n    Args:\n        a, b: one\n            and two: more.\n\n    Returns:\n        x: y.\n")
    assert doc.sections == {"Args": {"a": "one and two: more.", "b": "one and two: more."}, "Returns": {"": "x: y."}}
