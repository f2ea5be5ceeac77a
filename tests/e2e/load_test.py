#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""heddle-serve under wrk. Judges what is true on any machine, and prints the rest."""
import json
import re
import subprocess
import threading

import support


def wrk(url, seconds, connections=64):
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", url],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True)
    return done.stdout


class Load(support.ServedTest):
    def judge(self, report):
        """wrk says nothing of errors when there are none."""
        print(report, flush=True)
        self.assertNotIn("Socket errors", report)
        self.assertNotIn("Non-2xx", report)
        self.assertGreater(int(re.search(r"(\d+) requests in", report)[1]), 0)

    def stats(self):
        return json.loads(self.curl("/stats").body)

    def test_plaintext_has_no_error(self):
        before = self.stats()
        report = wrk(self.server.url + "/plaintext", 2)
        self.judge(report)
        after = self.stats()
        self.assertGreaterEqual(after["requests"] - before["requests"],
                                int(re.search(r"(\d+) requests in", report)[1]))
        self.assertEqual(after["refused"], before["refused"])

    def test_sleeping_requests_have_no_error(self):
        self.judge(wrk(self.server.url + "/sleep?ms=5", 2))

    def test_requests_that_fork_have_no_error(self):
        self.judge(wrk(self.server.url + "/fork?n=18", 2, 16))

    def test_requests_to_threads_and_to_the_arena_have_no_error(self):
        self.judge(wrk(self.server.url + "/hash?n=2000", 1, 16))
        self.judge(wrk(self.server.url + "/primes?n=20000", 1, 16))

    def test_others_are_answered_while_a_loop_is_hogged(self):
        ended = threading.Event()
        spins = []
        wire = self.wire()

        def hog():
            while not ended.is_set():
                spins.append(wire.get("/spin?ms=200").status)

        hogging = threading.Thread(target=hog)
        hogging.start()
        try:
            self.judge(wrk(self.server.url + "/plaintext", 2))
        finally:
            ended.set()
            hogging.join()
        self.assertEqual(set(spins), {200})
        self.assertGreater(sum(loop["rescues"] for loop in self.stats()["loops"]), 0)

    def test_connections_that_come_and_go_leave_nothing_behind(self):
        for _ in range(300):
            wire = support.Wire(self.server.port)
            wire.send("GET /plaintext HTTP/1.1\r\nHost: here\r\n\r\n")
            wire.close()
        for _ in range(1000):
            if (now := self.stats())["connections"] == 1:  # our own
                break
        self.assertEqual(now["connections"], 1)


if __name__ == "__main__":
    support.main()
