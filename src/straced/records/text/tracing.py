"""ptrace(2): what the address and the data are is told by the request."""

from __future__ import annotations

from straced.records.text import kinds, memory
from straced.records.text.flags import Named, flags, one_of
from straced.records.text.kinds import Whole
from straced.records.text.local_sets import LOCAL
from straced.records.text.processes import Process
from straced.records.text.structures import signal_name
from straced.records.text.tables import constants
from straced.records.values import Record

_FILLED = memory.left_out("{...}", filled=True)
_GIVEN = memory.left_out("{...}")
_NUMBER = memory.left_out("[...]", filled=True)


def tracing(abi: str) -> Whole:
    """Make the printer of ptrace(2)."""
    names = one_of(((value, name.replace("USR", "USER")) for value, name in constants(abi)["ptrace"]), "PTRACE_???")
    options: Named = flags(constants(abi)["ptrace_option"], "PTRACE_O_???")
    signals, notes = dict(constants(abi)["signal"]), one_of(LOCAL["notes"], "NT_???")

    def texts(record: Record, process: Process) -> list[str]:
        request, pid, address, data = record.args[:4]
        word = names(request)
        name = word.removeprefix("PTRACE_")
        if name == "TRACEME":
            return [word]
        found = [word, kinds.signed(pid, record, process)]
        if name in ("ATTACH", "INTERRUPT", "LISTEN", "KILL"):
            return found
        if name in ("GETREGS", "SETREGS", "GETFPREGS", "SETFPREGS", "GETFPXREGS", "SETFPXREGS"):
            return [*found, (_FILLED if name.startswith("GET") else _GIVEN)(data, record, process)]
        if name in ("GET_SYSCALL_INFO", "GETSIGMASK", "SETSIGMASK"):
            found.append(str(address))
        elif name in ("GETREGSET", "SETREGSET"):
            found.append(notes(address))
        else:
            found.append(kinds.pointer(address, record, process))
        if name in ("SEIZE", "SETOPTIONS"):
            return [*found, options(data)]
        if name in ("CONT", "SYSCALL", "SINGLESTEP", "DETACH", "SYSEMU", "SINGLEBLOCK"):
            return [*found, signal_name(data & 0xFFFFFFFF, signals)]
        if name in ("GETSIGINFO", "GET_SYSCALL_INFO"):
            return [*found, _FILLED(data, record, process)]
        if name in ("GETEVENTMSG", "GETSIGMASK"):
            return [*found, _NUMBER(data, record, process)]
        if name in ("SETSIGINFO", "GETREGSET", "SETREGSET", "PEEKSIGINFO"):
            return [*found, _GIVEN(data, record, process)]
        return [*found, f"{data:#x}" if name.startswith("POKE") else kinds.pointer(data, record, process)]

    return texts
