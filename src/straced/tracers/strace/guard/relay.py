"""From a strace that must never wait to a reader who may: memory of a pipe, then a bounded file, then dropped lines."""

import os

CHUNK = 65536


class LineRelay:
    """Copies lines from strace's pipe to ``sink_fd`` without ever blocking.

    What the sink does not take goes into a nameless file of at most ``spill_bytes``; when that is full, whole lines
    are dropped and counted until the reader has caught up.
    """

    def __init__(self, sink_fd, spill_bytes):
        self.sink_fd = sink_fd
        os.set_blocking(sink_fd, False)
        self.reader_fd, self.writer_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.reader_fd, False)
        os.fchmod(self.writer_fd, 0o622)  # strace opens it once more by its name in /proc, perhaps as another user
        self.spill_bytes = spill_bytes
        self.spill_fd = -1
        self.read_at = self.written_to = 0
        self.received = self.dropped_lines = self.dropped_bytes = 0
        self.dropping = self.ended = self.broken = self.torn = False
        self.pending = b""
        self.at_line_start = True
        """Whether what was accepted so far ends with a whole line."""

    @property
    def backlog(self):
        """Bytes that wait for the sink."""
        return len(self.pending) + self.written_to - self.read_at

    def close_writer(self):
        """After the fork: only strace holds the writing end."""
        os.close(self.writer_fd)
        self.writer_fd = -1

    def receive(self):
        """Take what strace wrote; False at its end."""
        for _ in range(16):  # bounded, so that one loud target does not starve the others
            try:
                data = os.read(self.reader_fd, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                self.ended = True
                return False
            self.received += len(data)
            self._take(data)
        return True

    def _take(self, data):
        if self.broken:
            self._drop(data)
            return
        if self.dropping:
            if self.backlog:
                self._drop(data)
                return
            end = data.find(b"\n") + 1  # go on with a whole line
            self._drop(data[:end] if end else data)
            if not end:
                return
            data, self.dropping = data[end:], False
            if self.torn:
                data, self.torn = b"\n" + data, False
        if self.backlog == 0:
            count = self._write(data)
            self._accepted(data[:count])
            data = data[count:]
        if data:
            self._spill(data)

    def _accepted(self, data):
        if data:
            self.at_line_start = data.endswith(b"\n")

    def _drop(self, data):
        self.dropped_bytes += len(data)
        self.dropped_lines += data.count(b"\n")

    def _write(self, data):
        try:
            return os.write(self.sink_fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.broken = True  # nobody reads any more
            return 0

    def _spill(self, data):
        room = self.spill_bytes - self.written_to
        if len(data) > room:
            end = data.rfind(b"\n", 0, max(room, 0)) + 1
            data, rest = data[:end], data[end:]
            self._drop(rest)
            self.dropping = True
            self.torn = not end and not self.at_line_start
        if not data:
            return
        try:
            if self.spill_fd < 0:
                self.spill_fd = _nameless_file()
            self.written_to += os.pwrite(self.spill_fd, data, self.written_to)
            self._accepted(data)
        except OSError:
            self._drop(data)
            self.dropping = True

    def send(self):
        """Give the sink what it takes; False when nothing waits."""
        while self.backlog and not self.broken:
            if not self.pending:
                self.pending = os.pread(self.spill_fd, CHUNK, self.read_at)
                self.read_at += len(self.pending)
            count = self._write(self.pending)
            self.pending = self.pending[count:]
            if count == 0:
                return True
        if self.spill_fd >= 0:
            os.ftruncate(self.spill_fd, 0)
        self.read_at = self.written_to = 0
        self.pending = b""
        return False

    def close(self):
        """Let go of every descriptor."""
        for fd in (self.reader_fd, self.writer_fd, self.sink_fd, self.spill_fd):
            if fd >= 0:
                os.close(fd)
        self.reader_fd = self.writer_fd = self.sink_fd = self.spill_fd = -1


def _nameless_file():
    for folder in (os.environ.get("STRACED_SPILL_DIR"), "/var/tmp", "/tmp", "/dev/shm"):
        if folder:
            try:
                return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except OSError:
                continue
    raise OSError("no folder for a spill file")
