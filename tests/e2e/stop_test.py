#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How heddle-serve starts and ends: signals, reactors that are forbidden, wrong usage."""
import ctypes
import errno
import json
import signal
import socket
import struct
import subprocess
import time
import unittest

import support

NAMES = {"epoll": "epoll", "uring": "io_uring"}  # as the server calls them


def forbid_io_uring():
    """In the child: io_uring_setup fails with EPERM, as containers have it."""
    PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
    io_uring_setup = 425  # the same on all architectures that Debian 12 supports in 64 bits
    load_number, jump_if_equal, answer = 0x20, 0x15, 0x06
    allow, fail = 0x7fff0000, 0x00050000 | errno.EPERM
    program = b"".join(struct.pack("HBBI", *line) for line in [
        (load_number, 0, 0, 0),
        (jump_if_equal, 0, 1, io_uring_setup),
        (answer, 0, 0, fail),
        (answer, 0, 0, allow),
    ])
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = support.libc
    if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described, 0, 0) != 0):
        raise OSError(ctypes.get_errno(), "prctl")


def run(*options, env=None, before_exec=None):
    """Runs heddle-serve for a case in which it ends by itself."""
    def in_child():
        support.die_with_parent()
        if before_exec:
            before_exec()
    return subprocess.run([support.settings.server, *options], env=support.environment(**(env or {})),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=support.PATIENCE, preexec_fn=in_child)


class Stopping(unittest.TestCase):
    def start(self, *options, **more):
        server = support.Server(*options, **more)
        self.addCleanup(server.kill)
        return server

    def wire(self, server):
        wire = support.Wire(server.port)
        self.addCleanup(wire.close)
        return wire

    def begin(self, server, path):
        """A request that the server is at work on: the answer before it tells that it has been read."""
        wire = self.wire(server)
        wire.send("GET /plaintext HTTP/1.1\r\nHost: here\r\n\r\n"
                  f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")
        self.assertEqual(wire.answer().body, b"Hello, World!")
        return wire

    def stopped(self, server, status=0):
        got, rest, errors = server.end()
        self.assertEqual((got, errors), (status, ""), rest)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)
        return rest

    def test_it_says_where_it_listens_what_it_uses_and_how_to_stop_it(self):
        for loops, text in (1, "1 loop, reactor {}; Ctrl-C stops"), (2, "2 loops, reactor {}; Ctrl-C stops"):
            server = self.start(loops=loops)
            self.assertEqual(server.lines, [f"listening on {server.url}/",
                                            text.format(NAMES[support.settings.reactor])])
            server.signal()
            self.stopped(server)

    def test_both_signals_let_a_running_request_finish(self):
        for number in signal.SIGTERM, signal.SIGINT:
            server = self.start()
            running = self.begin(server, "/sleep?ms=700")
            server.signal(number)
            a = running.answer()
            self.assertEqual((a.status, a.body), (200, b"slept 700 ms\n"))
            self.assertEqual(a["connection"], "close")
            self.assertEqual(running.rest(), b"")
            self.assertIn("stopped after 2 requests", self.stopped(server))

    def test_work_on_threads_in_the_arena_and_on_all_loops_is_finished_too(self):
        server = self.start()
        running = {path: self.begin(server, path)
                   for path in ("/hash?n=20000000", "/primes?n=5000000", "/fork?n=30")}
        server.signal()
        for path, wire in running.items():
            self.assertEqual(wire.answer().status, 200, path)
        self.stopped(server)

    def test_a_large_file_under_way_arrives_whole(self):
        with support.tempfile.TemporaryDirectory() as d:
            with open(d + "/big.bin", "wb") as f:
                f.write(bytes(range(256)) * 65536)
            server = self.start("--files", d)
            wire = self.wire(server)
            wire.send("GET /files/big.bin HTTP/1.1\r\nHost: here\r\n\r\n")
            self.assertTrue(wire._more())
            server.signal()
            self.assertEqual(server.read_line()[:9], "stopping:")
            self.assertEqual(wire.answer().body, bytes(range(256)) * 65536)
            self.stopped(server)

    def test_idle_connections_are_closed_before_running_requests_end(self):
        server = self.start()
        fresh, used = self.wire(server), self.wire(server)
        used.get("/plaintext")
        while json.loads(used.get("/stats").body)["connections"] < 2:  # until `fresh` is accepted
            pass
        running = self.begin(server, "/sleep?ms=60000")
        server.signal()
        self.assertEqual((fresh.rest(), used.rest()), (b"", b""))
        self.assertIsNone(server.process.poll())
        running.close()
        self.stopped(server)

    def test_a_request_whose_head_is_under_way_is_answered(self):
        server = self.start()
        wire = self.wire(server)
        # The answer to the first tells that the half head, which came with it, has been read.
        wire.send("GET /plaintext HTTP/1.1\r\nHost: here\r\n\r\nGET /plaintext HTTP/1.1\r\nHos")
        self.assertEqual(wire.answer().status, 200)
        idle = self.wire(server)
        idle.get("/plaintext")
        server.signal()
        self.assertEqual(idle.rest(), b"")  # so it is stopping
        wire.send("t: here\r\n\r\n")
        a = wire.answer()
        self.assertEqual((a.status, a["connection"]), (200, "close"))
        self.stopped(server)

    def test_nothing_new_is_accepted_while_it_stops(self):
        server = self.start()
        idle = self.wire(server)
        idle.get("/plaintext")
        running = self.begin(server, "/sleep?ms=60000")
        server.signal()
        self.assertEqual(idle.rest(), b"")  # closed after the listeners
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)
        running.close()
        self.stopped(server)

    def test_the_grace_ends_and_the_status_is_0(self):
        server = self.start("--grace", "0.3")
        running = self.begin(server, "/sleep?ms=60000")
        began = time.monotonic()
        server.signal()
        self.stopped(server)
        self.assertLess(time.monotonic() - began, 20)
        running.close()

    def test_a_second_signal_ends_it_at_once(self):
        server = self.start("--grace", "60")
        running = self.begin(server, "/sleep?ms=60000")
        server.signal()
        self.assertEqual(server.read_line(), "stopping: finishing what runs, for 60 s at most")
        server.signal(signal.SIGINT)
        status, _, errors = server.end()
        self.assertEqual((status, errors), (1, "stopped at once\n"))
        running.close()

    def test_an_idle_server_stops(self):
        for loops in 1, 2, 8:
            server = self.start(loops=loops)
            server.signal()
            self.stopped(server)


class Reactors(unittest.TestCase):
    def test_an_explicit_uring_that_is_forbidden_ends_with_a_clear_message(self):
        done = run("--port", "0", "--reactor", "uring", before_exec=forbid_io_uring)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("heddle-serve: io_uring cannot be used: it is forbidden here", done.stderr)

    def test_the_environment_asks_as_explicitly(self):
        done = run("--port", "0", env={"HEDDLE_REACTOR": "uring"}, before_exec=forbid_io_uring)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("io_uring cannot be used", done.stderr)

    def test_auto_falls_back_to_epoll_and_says_so(self):
        server = support.Server(reactor="auto", before_exec=forbid_io_uring)
        self.addCleanup(server.kill)
        self.assertIn("2 loops, reactor epoll; Ctrl-C stops", server.lines)
        self.assertEqual(support.curl(server.url + "/plaintext").body, b"Hello, World!")
        server.signal()
        status, _, errors = server.end()
        self.assertEqual(status, 0)
        self.assertRegex(errors, r"^heddle-serve: io_uring cannot be used: .*; epoll is used instead\n$")

    def test_the_option_beats_the_environment(self):
        other = {"epoll": "uring", "uring": "epoll"}[support.settings.reactor]
        server = support.Server(env={"HEDDLE_REACTOR": other})
        self.addCleanup(server.kill)
        self.assertIn("reactor " + NAMES[support.settings.reactor], server.lines[-1])
        server.signal()
        self.assertEqual(server.end()[0], 0)

    def test_the_environment_is_heard_where_the_option_is_auto(self):
        server = support.Server(reactor="auto", env={"HEDDLE_REACTOR": support.settings.reactor})
        self.addCleanup(server.kill)
        self.assertIn("reactor " + NAMES[support.settings.reactor], server.lines[-1])
        server.signal()
        self.assertEqual(server.end()[0], 0)

    def test_an_unknown_name_in_the_environment_is_refused(self):
        done = run("--port", "0", env={"HEDDLE_REACTOR": "kqueue"})
        self.assertEqual(done.returncode, 1)
        self.assertIn('HEDDLE_REACTOR is "kqueue"', done.stderr)


class Usage(unittest.TestCase):
    def test_help_names_every_option_and_route(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("--port", "--loops", "--reactor", "--help", "/plaintext", "/json", "/sleep", "/hash",
                     "/primes", "/spin", "/files/", "/stats"):
            self.assertIn(word, done.stdout)

    def test_wrong_usage_is_status_2_and_says_what_is_wrong(self):
        for wrong in (["--port", "http"], ["--port", "65536"], ["--port", "-1"], ["--reactor", "kqueue"],
                      ["--loops", "many"], ["--unknown", "1"], ["--port"], ["8080"]):
            done = run(*wrong)
            self.assertEqual((done.returncode, done.stdout), (2, ""), wrong)
            self.assertIn("--help", done.stderr, wrong)

    def test_a_port_that_is_taken_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = run("--port", str(port), "--reactor", support.settings.reactor)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"127.0.0.1:{port}", done.stderr)

    def test_a_directory_that_does_not_exist_is_named(self):
        done = run("--port", "0", "--files", "/does/not/exist")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/does/not/exist", done.stderr)


if __name__ == "__main__":
    support.main()
