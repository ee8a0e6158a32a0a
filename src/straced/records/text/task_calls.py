"""Calls that make tasks, or make a process another program."""

from __future__ import annotations

from straced.records.text import kinds, memory
from straced.records.text.flags import flags
from straced.records.text.kinds import Whole
from straced.records.text.processes import Process
from straced.records.text.quoting import quoted
from straced.records.text.structures import signal_name
from straced.records.text.tables import constants
from straced.records.values import Record

BECOMING = {"execve": 0, "execveat": 1}
"""Calls that make a process another program, with the number of the path."""


def cloning(abi: str) -> Whole:
    """clone(2): flags, the signal of its end, and the addresses that the flags ask for."""
    words = flags(constants(abi)["clone"], "CLONE_???")
    signals = dict(constants(abi)["signal"])

    def texts(record: Record, process: Process) -> list[str]:
        how, stack, parent = record.args[:3]
        child, tls = record.args[3:5] if abi == "x86_64" else record.args[4:2:-1]
        parts = [words(how & ~0xFF)] if how & ~0xFF else []
        parts += [signal_name(how & 0xFF, signals)] if how & 0xFF else []
        found = [f"child_stack={kinds.pointer(stack, record, process)}", f"flags={'|'.join(parts) or '0'}"]
        if how & 0x100000:
            place = "[...]" if not kinds.failed(record) else kinds.pointer(parent, record, process)
            found.append(f"parent_tid={place}")
        if how & 0x80000:
            found.append(f"tls={kinds.pointer(tls, record, process)}")
        if how & 0x1200000:
            found.append(f"child_tidptr={kinds.pointer(child, record, process)}")
        return found

    return texts


def becoming(abi: str, first: int, *, words: bool = False) -> Whole:
    """execve(2), execveat(2). When it has succeeded its arguments are gone, and what they led to was noted before."""
    at = memory.path(first)
    names = flags(constants(abi)["at"], "AT_???")

    def argv(record: Record) -> str:
        noted = record.blobs.get(first + 1)
        if not words or noted is None or noted.unread:
            return "[...]"
        found = [quoted(word) for word in noted.data.removesuffix(b"\0").split(b"\0")]
        return f"[{', '.join([*found, '...'] if noted.cut else found)}]"

    def texts(record: Record, process: Process) -> list[str]:
        args = record.args
        if len(args) < first + 3:
            known = record.blobs.get(first)
            return [quoted(known.data, known.cut) if known is not None else "...", argv(record), "[...]"]
        found = [kinds.directory(args[0], record, process)] if first else []
        found.append(at(args[first], record, process))
        found.append(memory.POINTING["array_in"](args[first + 1], record, process))
        found.append(kinds.pointer(args[first + 2], record, process))
        return [*found, names(args[4])] if first else found

    return texts


def cloning_by_structure(abi: str) -> Whole:
    """clone3(2): the structure, and the number of the new task where the kernel has put it."""
    given = memory.structure(0, "new_task", memory.left_out("{...}"), abi)

    def texts(record: Record, process: Process) -> list[str]:
        value, size = record.args[:2]
        text, blob = given(value, record, process), record.blobs.get(0)
        if text == "{...}" or not value or blob is None or kinds.failed(record):
            return [text, str(size)]
        how = int.from_bytes(blob.data[:8], "little")
        told = [f"parent_tid=[{record.result}]"] if how & 0x100000 else []
        if how & 0x1000:  # CLONE_PIDFD
            told.insert(0, "pidfd=[...]")
        return [f"{text} => {{{', '.join(told)}}}" if told else text, str(size)]

    return texts


def returning(abi: str) -> Whole:
    """rt_sigreturn(2): it has no argument; its text is the signals that are blocked from then on."""
    mask = memory.structure(0, "restored_mask", lambda value, record, process: "{...}", abi)
    return lambda record, process: [mask(1, record, process)]
