"""prctl(2): the operation, and as many arguments as the ones known here take."""

from __future__ import annotations

from collections.abc import Callable

from straced.records.text import kinds, memory
from straced.records.text.flags import flags, one_of
from straced.records.text.kinds import Formatter, Whole
from straced.records.text.local_sets import LOCAL
from straced.records.text.processes import Process
from straced.records.text.results import DUMPABLE
from straced.records.text.structures import signal_name
from straced.records.text.tables import constants
from straced.records.values import Record

_ANY = (1 << 64) - 1
_ASKING = (
    "PR_GET_DUMPABLE PR_GET_KEEPCAPS PR_GET_TIMING PR_GET_SECCOMP PR_GET_SECUREBITS PR_GET_TIMERSLACK"
    " PR_TASK_PERF_EVENTS_DISABLE PR_TASK_PERF_EVENTS_ENABLE"
)
"""Operations that take no argument."""


def controlling(abi: str) -> Whole:
    """Make the printer of prctl(2)."""
    names = one_of(constants(abi)["prctl"], "PR_???")
    shapes = _shapes(abi)
    usual: tuple[Formatter, ...] = (kinds.hexadecimal,) * 4

    def texts(record: Record, process: Process) -> list[str]:
        word = names(record.args[0])
        rest = record.args[1:5]
        shape = shapes.get(word.removeprefix("PR_"), usual)
        if word == "PR_SET_SECCOMP" and rest[0] != _FILTERING:
            shape = usual
        return [word, *(each(value, record, process) for each, value in zip(shape, rest, strict=False))]

    return texts


_FILTERING = 2
"""SECCOMP_MODE_FILTER."""


def _shapes(abi: str) -> dict[str, tuple[Formatter, ...]]:
    """The arguments of operations, by their names."""
    table, of, number, plain = constants(abi), kinds.for_value, kinds.size, kinds.hexadecimal
    signals, zeros = dict(table["signal"]), (plain,) * 3
    capability = of(one_of(table["capability"], "CAP_???"))
    name_out, int_out = memory.left_out('""...', filled=True), memory.POINTING["array_out"]
    found: dict[str, tuple[Formatter, ...]] = dict.fromkeys([each[3:] for each in _ASKING.split()], ())
    return found | {
        "SET_NAME": (memory.bytes_in(0),),
        "GET_NAME": (name_out,),
        "SET_PDEATHSIG": (of(lambda value: signal_name(value, signals)),),
        "GET_PDEATHSIG": (int_out,),
        "SET_DUMPABLE": (of(lambda value: DUMPABLE[value] if value < len(DUMPABLE) else str(value)),),
        "SET_KEEPCAPS": (number,),
        "SET_TIMING": (number,),
        "SET_TIMERSLACK": (number,),
        "CAPBSET_READ": (capability,),
        "CAPBSET_DROP": (capability,),
        "SET_SECCOMP": (of(one_of(LOCAL["seccomp_mode"], "SECCOMP_MODE_???")), memory.left_out("{...}")),
        "SET_SECUREBITS": (of(flags(LOCAL["secure"], "SECBIT_???")),),
        "SET_CHILD_SUBREAPER": (number,),
        "GET_CHILD_SUBREAPER": (int_out,),
        "GET_TID_ADDRESS": (int_out,),
        "SET_NO_NEW_PRIVS": (number, *zeros),
        "SET_THP_DISABLE": (number, *zeros),
        "SET_IO_FLUSHER": (number, *zeros),
        "CAP_AMBIENT": (of(one_of(LOCAL["ambient"], "PR_CAP_AMBIENT_???")), _ambient(capability), plain, plain),
        "SET_PTRACER": (of(lambda value: "PR_SET_PTRACER_ANY" if value == _ANY else _signed(value)),),
        "SET_VMA": (of(_vma), kinds.pointer, number, memory.POINTING["text"]),
    }


def _ambient(capability: Formatter) -> Formatter:
    """A capability, but for PR_CAP_AMBIENT_CLEAR_ALL."""
    return lambda value, record, process: (kinds.hexadecimal if record.args[1] == _CLEAR_ALL else capability)(
        value, record, process
    )


_CLEAR_ALL = 4


def _signed(value: int) -> str:
    value &= 0xFFFFFFFF
    return str(value - (1 << 32) if value >> 31 else value)


_vma: Callable[[int], str] = one_of(((0, "PR_SET_VMA_ANON_NAME"),), "PR_SET_VMA_???")
