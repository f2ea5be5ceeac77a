# SPDX-License-Identifier: MIT
"""Runs programs of the bench: to their end, or while they are needed."""
import contextlib
import os
import pathlib
import resource
import signal
import socket
import subprocess
import tempfile
import time

# The status of a program from outside that does not offer what it is asked for.
NOT_OFFERED = 3


class NotOffered(RuntimeError):
    """The program has no such problem or row. That is no failure."""


class ServerError(Exception):
    pass


def output_of(command, time_limit, if_silent="no message", prepare=None):
    """What it printed. Raises RuntimeError with what went wrong: its last words, or `if_silent`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=time_limit,
                              check=False, stdin=subprocess.DEVNULL, preexec_fn=prepare)
    except OSError as e:
        raise RuntimeError(f"cannot be started: {e}") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {time_limit} s") from None
    if done.returncode == NOT_OFFERED:
        raise NotOffered((done.stderr.strip().splitlines() or ["not offered by this program"])[-1])
    if done.returncode != 0:
        told = (done.stderr.strip().splitlines() or [if_silent])[-1]
        raise RuntimeError(f"ended with status {done.returncode}: {told}")
    return done.stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def two_processors():
    """Where the server and the load run."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise ServerError("servers need two processors: one for the server, one for the load")
    return usable[0], usable[1]


def on_processor(processor):
    """For a child before it begins: it runs there, and may open as many files as any process."""
    def prepare():
        os.sched_setaffinity(0, {processor})
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return prepare


class Server:
    """A process that listens, on one processor, ended on leaving the context."""

    def __init__(self, command, port, processor):
        self.port = port
        self._errors = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                             stderr=self._errors, stdin=subprocess.DEVNULL,
                                             preexec_fn=on_processor(processor))
        except OSError as e:
            raise ServerError(f"cannot be started: {e}") from None

    def __enter__(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return self
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.02)
        self.__exit__()
        raise ServerError(f"does not listen: {self._last_words()}")

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def offers_nothing(self):
        """It has ended, since it does not serve this problem."""
        return self._process.returncode == NOT_OFFERED

    def cpu_ns(self):
        """Time all its threads have run."""
        total = 0
        for task in pathlib.Path(f"/proc/{self._process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
        return total

    def rss_kb(self):
        """Its resident set."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines()
                    if line.startswith("VmRSS:"))

    def _last_words(self):
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"status {self._process.returncode}, no message"
