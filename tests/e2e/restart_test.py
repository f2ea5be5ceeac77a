#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A second process takes over from a first one under load: no client is refused, every one is answered."""
import http.client
import os
import socket
import subprocess
import sys
import threading
import unittest

import support

# Gives the program the socket as its descriptor 3, as systemd does.
LAUNCHER = """
import os, sys
fd = int(sys.argv[1])
if fd != 3:
    os.dup2(fd, 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Program:
    def __init__(self, name, where, given=None):
        command = [support.settings.client, name, support.settings.reactor, where]
        more = {}
        if given is not None:
            command = [sys.executable, "-B", "-c", LAUNCHER, str(given.fileno()), *command]
            more["pass_fds"] = (given.fileno(),)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=support.environment(),
                                        preexec_fn=support.die_with_parent, **more)
        self.port = int(self.process.stdout.readline())

    def end(self):
        self.process.terminate()
        return self.process.wait(timeout=support.PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Load:
    """Clients that ask again and again, each time on a new connection."""

    def __init__(self, port):
        self.port = port
        self.lock = threading.Lock()
        self.seen = {"old": 0, "new": 0}
        self.refused = 0
        self.stop = False
        self.changed = threading.Condition(self.lock)
        self.threads = [threading.Thread(target=self.run) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=support.PATIENCE)
        try:
            wire.request("GET", "/", headers={"Connection": "close"})
            return wire.getresponse().read().decode()
        finally:
            wire.close()

    def run(self):
        while not self.stop:
            try:
                who = self.ask()
            except ConnectionRefusedError:
                with self.lock:
                    self.refused += 1
                continue
            except (ConnectionError, http.client.HTTPException):
                # Connected to a server that began to stop before the request was there: such a
                # client asks again. If nobody answered, wait_for() would fail.
                continue
            with self.lock:
                self.seen[who] += 1
                self.changed.notify_all()

    def wait_for(self, who, more=20):
        with self.lock:
            wanted = self.seen[who] + more
            if not self.changed.wait_for(lambda: self.seen[who] >= wanted, timeout=support.PATIENCE):
                raise AssertionError(f"{who} answers nobody: {self.seen}")

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()


class Restart(unittest.TestCase):
    def start(self, *how, **more):
        program = Program(*how, **more)
        self.addCleanup(program.kill)
        return program

    def take_over(self, old, start_new):
        load = Load(old.port)
        self.addCleanup(load.end)
        load.wait_for("old")
        new = start_new()
        self.assertEqual(new.port, old.port)
        self.assertEqual(old.end(), 0)
        load.wait_for("new", 100)
        load.end()
        self.assertEqual(load.refused, 0)
        self.assertEqual(new.end(), 0)

    def test_both_have_the_sockets_of_the_one_who_started_them(self):
        with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
            self.take_over(self.start("old", "given", given=listening),
                           lambda: self.start("new", "given", given=listening))

    def test_both_share_a_port(self):
        old = self.start("old", "0")
        self.take_over(old, lambda: self.start("new", str(old.port)))


if __name__ == "__main__":
    support.main()
