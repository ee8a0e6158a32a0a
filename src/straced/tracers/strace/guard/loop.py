"""The guard's loop: orders from the owner, straces that end, and the end of the owner itself.

What it is told, and what it tells: see ``owner_channel.py``.
"""

import _signal as signal
import os
import resource
import select
import time

import calibrate
import kernel
from attach_watch import Attaching
from helper import GuardedStrace
from owner_channel import OwnerChannel
from prefork import Spares
from relay import LineRelay

OWNER_GONE_GRACE_S = 1.0
DESCRIPTORS = 1 << 16
IGNORED = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGPIPE, signal.SIGXFSZ),  # these two become errors, EPIPE and EFBIG
)


class Guard:
    """All helpers of one owner."""

    def __init__(self, control_fd, owner_pidfd):
        self.owner = OwnerChannel(control_fd)
        self.helpers = {}
        self.by_pid = {}
        self.handlers = {}
        self.attaching = Attaching()
        self.spares = Spares()
        self.poll = select.epoll()
        self.leaving = False
        self.environment = {b"LC_ALL": b"C", b"PATH": b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.environment.update({k: v for k, v in os.environb.items() if k.startswith(b"STRACED_")})
        self.watch(control_fd, select.EPOLLIN, self.on_message)
        self.watch(owner_pidfd, select.EPOLLIN, lambda events: self.on_owner_gone(owner_pidfd))
        wake_reader, wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        kernel.on_signal(signal.SIGCHLD, lambda number, frame: None)
        kernel.on_signal(signal.SIGTERM, lambda number, frame: self.leave())
        for number in IGNORED:
            kernel.on_signal(number, signal.SIG_IGN)
        self.wake_fd = wake_reader
        self.watch(wake_reader, select.EPOLLIN, self.on_child)

    def watch(self, fd, events, handler):
        self.handlers[fd] = handler
        self.poll.register(fd, events)

    def unwatch(self, fd):
        if self.handlers.pop(fd, None):
            self.poll.unregister(fd)

    def run(self):
        """Serve until the owner is gone, or says so, and every helper has ended."""
        while True:
            due = self.step_all()
            if self.leaving and not self.helpers and not self.spares.waiting:
                return
            for fd, events in self.wait_until(due):
                if handler := self.handlers.get(fd):
                    handler(events)

    def step_all(self):
        """Do what is due, and tell when to do so again."""
        now = time.monotonic()
        if found := self.attaching.look(now):
            helper, waits = found
            self.say("attached", helper.number, waits)
            self.spares.postpone(now)
        if not self.leaving and self.attaching.due is None and self.spares.make(now):
            self.say("spare", self.spares.waiting.pid)
        due = [helper.step(now) for helper in self.helpers.values()]
        if self.leaving:  # that may have been learnt just now, by what could not be said
            self.spares.end()
        due.append(self.spares.due if self.attaching.due is None else self.attaching.due)
        return min((at for at in due if at is not None), default=None)

    def wait_until(self, due):
        """Events, the sooner the better; epoll rounds what is less than a millisecond up to one."""
        wait = -1 if due is None else max(0.0, due - time.monotonic())
        if 0 < wait < 0.001:
            select.select([self.poll], [], [], wait)
            wait = 0
        return self.poll.poll(wait)

    # --- the owner ---

    def on_message(self, events):
        try:
            message, fds = self.owner.receive()
        except OSError:
            message = None
        if message is None:
            self.leave()
            return
        try:
            getattr(self, "do_" + message[0])(*message[1:], *fds)
        except OSError as error:
            self.say("failed", message[1], error.errno or 0)

    def say(self, *message):
        try:
            self.owner.send(message)
        except OSError:
            self.leave()

    def on_owner_gone(self, owner_pidfd):
        self.unwatch(owner_pidfd)  # it stays readable, and there is nothing more to hear from it
        self.leave()

    def leave(self):
        """The owner is gone or done: stop everything, then end."""
        if not self.leaving:
            self.leaving = True
            self.unwatch(self.owner.fd)
        for helper in list(self.helpers.values()):
            if helper.pid:
                helper.request_stop("owner_gone", OWNER_GONE_GRACE_S)
            else:
                self.finish(helper)

    def do_quit(self):
        self.leave()

    def do_spawn(self, number, argv, pids, limits, fd):
        relay = None
        if limits.get("spill_bytes"):
            relay, fd = LineRelay(fd, limits["spill_bytes"]), -1
        helper = GuardedStrace(number, pids, fd, relay, limits)
        try:
            helper.start(argv, self.environment, self.spares)
        except OSError as error:
            helper.close()
            self.say("failed", number, error.errno or 0)
            return
        self.helpers[number] = self.by_pid[helper.pid] = helper
        self.watch(helper.stderr_fd, select.EPOLLIN, lambda events: self.on_stderr(helper))
        if relay:
            self.watch(relay.reader_fd, select.EPOLLIN, lambda events: self.on_relay_input(helper))
        self.say("spawned", number, helper.pid)
        self.attaching.add(helper, time.monotonic())

    def do_stop(self, number, why, grace_s):
        if (helper := self.helpers.get(number)) and not helper.has_ended:  # else it ended for reasons of its own
            helper.request_stop(why, grace_s)

    def do_calibrate(self, number, argv):
        pid, fd = calibrate.start()
        null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        self.watch(fd, select.EPOLLIN, lambda events: self.on_cost(fd))
        self.do_spawn(number, [*argv, b"-p", str(pid).encode()], (pid,), {}, null)

    def on_cost(self, fd):
        text = os.read(fd, 32)
        self.unwatch(fd)
        os.close(fd)
        if text:
            self.say("cost", int(text))

    # --- helpers ---

    def on_stderr(self, helper):
        if not helper.read_stderr():
            self.unwatch(helper.stderr_fd)

    def on_relay_input(self, helper):
        relay = helper.relay
        if not relay.receive():
            self.unwatch(relay.reader_fd)
        if relay.backlog and not relay.broken and relay.sink_fd not in self.handlers:
            self.watch(relay.sink_fd, select.EPOLLOUT, lambda events: self.on_sink_ready(helper))
        if relay.broken:
            helper.request_stop("reader_gone", OWNER_GONE_GRACE_S)
        elif relay.dropping and helper.end_when_full:
            helper.request_stop("reader_slow", OWNER_GONE_GRACE_S)

    def on_sink_ready(self, helper):
        relay = helper.relay
        if not relay.send() or relay.broken:
            self.unwatch(relay.sink_fd)
            if relay.broken:
                helper.request_stop("reader_gone", OWNER_GONE_GRACE_S)
            if helper.pid == 0:
                self.finish(helper)

    def on_child(self, events):
        try:
            os.read(self.wake_fd, 4096)
        except BlockingIOError:
            pass
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            helper = self.by_pid.get(found.si_pid)
            spare = self.spares.find(found.si_pid)
            if found.si_code == os.CLD_STOPPED:
                os.waitid(os.P_PID, found.si_pid, os.WSTOPPED | os.WNOHANG)
                if stopped := helper or spare:
                    kernel.send(stopped.pidfd, signal.SIGCONT)  # a stopped tracer freezes its target
                continue
            if helper:
                kernel.kill_group(helper.pid)
            os.waitpid(found.si_pid, 0)
            if helper:
                self.ended(helper, found)
            elif spare:
                self.spares.drop()
                self.say("spare", 0)

    def ended(self, helper, found):
        """A strace is gone: what it left unsaid is read, its targets are looked at, and the owner is told."""
        del self.by_pid[helper.pid]
        helper.read_stderr()
        self.unwatch(helper.stderr_fd)
        helper.result = {
            "pid": helper.pid,
            "code": found.si_status if found.si_code == os.CLD_EXITED else -found.si_status,
            "why": helper.why,
            "stderr": helper.stderr,
            "targets": [(pid, kernel.tracer_and_state(pid)) for pid in helper.pids[:64]],
        }
        helper.pid = 0
        relay = helper.relay
        if relay and relay.reader_fd in self.handlers:
            while relay.receive():
                pass  # strace is gone, so this ends
            self.unwatch(relay.reader_fd)
        if relay and relay.send() and not self.leaving:
            if relay.sink_fd not in self.handlers:
                self.watch(relay.sink_fd, select.EPOLLOUT, lambda events: self.on_sink_ready(helper))
            return
        self.finish(helper)

    def finish(self, helper):
        if relay := helper.relay:
            self.unwatch(relay.sink_fd)
            helper.result.update(dropped_lines=relay.dropped_lines, dropped_bytes=relay.dropped_bytes)
        self.helpers.pop(helper.number, None)
        helper.close()
        self.say("exit", helper.number, helper.result)


def allow_descriptors():
    """The soft limit is the owner's, who may have none left; what is needed here is a handful a strace."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))


def main(control_fd, owner_pidfd):
    """Run the guard on the descriptors that its owner handed over."""
    for fd in (control_fd, owner_pidfd):
        os.set_inheritable(fd, False)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    kernel.set_name(b"straced-guard")
    kernel.start_with_default_signals()
    allow_descriptors()
    Guard(control_fd, owner_pidfd).run()
