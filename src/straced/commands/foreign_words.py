"""Words of other tools, and what does the same here: verbs, and options that a verb of ours does not have.

In a line, CMD, FILE, PID and SET stand for what was typed. What has no colon in it is the line to type itself.
"""

from __future__ import annotations

VERBS = {
    "strace": "run -- CMD",
    "exec": "run -- CMD",
    "stat": "run -- CMD",
    "start": "serve",
    "daemon": "serve",
    "install": "serve --help",
    "profile": "attach PID",
    "ps": "top --once",
    "list": "top --once",
    "script": "report FILE",
    "show": "report FILE",
    "analyze": "report FILE",
    "compare": "diff FILE FILE",
    "stack": "why PID",
    "log": "history",
    "logs": "events",
    "alerts": "events",
    "help": "--help",
    "version": "--version",
    "check": "doctor",
    "budget": "run --max fsync=0 -- CMD",
}
"""Of strace, perf, systemctl, ps: without ``straced``."""
OF_WATCH = {"list": "ls", "show": "ls", "remove": "rm", "delete": "rm", "del": "rm"}
_TRACE = "calls one by one are for: straced trace PID"
_ALL = "every call is counted; some of them one by one: straced trace PID -e SET"
_RUN = "every call is counted anyhow: straced run -- CMD"
OPTIONS = {
    "attach": {
        **dict.fromkeys(("-r", "-t", "-T", "-v", "-w", "-x", "-y", "-z"), _TRACE),
        "-e": _ALL,
        "-P": "straced trace PID -P PATH",
        "-s": "straced trace PID -s 128",
        "-S": "straced attach PID --sort calls",
        "-Z": "straced trace PID -Z",
        "-k": "stacks are told by: straced why PID --python-stack",
        "-a": "all processes are in: straced top",
        "-u": "straced top --filter USER",
        "--timeout": "straced attach PID -d 30s",
        "--name": "straced attach name:GLOB",
        "--max": "a budget is for: straced run --max fsync=0 -- CMD",
    },
    "trace": {
        **dict.fromkeys(("-c", "-C", "-S", "-w"), "counts are for: straced attach PID"),
        **dict.fromkeys(("-i", "-n", "--timeout"), "straced trace PID -d 30s"),
        "-a": "all processes are in: straced top",
        "-k": "stacks are told by: straced why PID --python-stack",
        "-r": "times are in every line, and summed up by: straced report FILE",
        "-u": "to run a command: straced run --user -- CMD",
        "-z": "those that fail: straced trace PID -Z",
        "--json": "straced attach PID --json",
    },
    "run": {
        **dict.fromkeys(("-r", "-s", "-v", "-w", "-x"), _RUN),
        **dict.fromkeys(("-t", "-T", "-y"), "calls one by one are for: straced trace -- CMD"),
        "-e": "straced trace -e SET -- CMD",
        "-Z": "straced trace -Z -- CMD",
        **dict.fromkeys(("-d", "--duration", "--timeout"), "straced run -- timeout 30 CMD"),
        "-E": "straced run -- env NAME=VALUE CMD",
        "-p": "of a process that runs already: straced attach PID",
        "--pid": "of a process that runs already: straced attach PID",
        "-S": "straced run --sort calls -- CMD",
        "-u": "straced run --user -- CMD",
    },
    "top": {
        "-b": "straced top --once",
        "-d": "straced top -i 5s",
        "-e": "straced trace PID -e SET",
        "-s": "straced top --sort calls",
        "-u": "straced top --filter USER",
    },
    "why": {
        "-a": "straced why --all",
        "-f": "its children are looked at anyhow: straced why PID",
        "-k": "straced why PID --python-stack",
        "-o": "straced why PID --bundle FILE",
    },
}
"""By verb of ours."""
