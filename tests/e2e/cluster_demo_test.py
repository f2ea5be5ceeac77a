#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The demonstration of the cluster, tools/examples/cluster_render: workers and the server die, and nothing is lost."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import support

PATIENCE = 240
QUIET = ("--page", "none", "--kills", "0", "--server-kills", "0", "--work", "0")
SMALL = ("--tiles", "8", "--edge", "64")


def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return f"{value:016x}"


class ClusterDemo(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="heddle-e2e-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.temporary = self.dir + "/tmp"
        os.mkdir(self.temporary)

    def environment(self, **changes):
        return support.environment(TMPDIR=self.temporary, HEDDLE_REACTOR=support.settings.reactor, **changes)

    def begin(self, *options, **changes):
        process = subprocess.Popen([support.settings.server, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env=self.environment(**changes), preexec_fn=support.die_with_parent)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def run_demo(self, *options, status=0, **changes):
        process = self.begin(*options, **changes)
        out, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, status, out + errors)
        self.check_nothing_is_left()
        return out, errors

    def check_nothing_is_left(self):
        self.assertEqual(os.listdir(self.temporary), [])
        mine = self.temporary.encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    self.assertNotIn(mine, f.read(), f"process {pid} is left")
            except OSError:
                pass  # it has ended

    def test_nothing_is_lost_while_workers_and_the_server_are_killed(self):
        # 64 jobs of at least 100 ms in 6 slots take longer than the longest pauses between deaths.
        out, errors = self.run_demo(*SMALL, "--page", "none", "--work", "100", "--seed", "7", "--kill-every", "250",
                                    "--kills", "5", "--kill-server-every", "500", "--server-kills", "1")
        self.assertRegex(out, r"^64 jobs, 0 lost, 0 with two outcomes, 0 other than in one process; checksum \w{16}\n$")
        killed = re.search(r"killed: workers (\d+) times, the server (\d+) times", errors)
        self.assertGreaterEqual(int(killed[1]), 1, errors)
        self.assertEqual(int(killed[2]), 1, errors)

    def test_the_output_is_the_same_in_this_process_with_one_worker_and_with_three(self):
        outputs = {self.run_demo(*SMALL, *QUIET, "--workers", n)[0] for n in ("0", "1", "3")}
        self.assertEqual(len(outputs), 1, outputs)

    def test_files_of_a_directory_are_read_and_the_list_is_where_it_was_asked_for(self):
        data = self.dir + "/data"
        os.makedirs(data + "/below")
        expected = ""
        for n in range(36):
            path = f"{data}/below/{n:02}"
            content = bytes(range(n, 200)) * n
            with open(path, "wb") as f:
                f.write(content)
            expected += f"{fnv(content)}  {path}\n"
        out, _ = self.run_demo("--files", data, *QUIET, "--out", self.dir + "/list")
        self.assertTrue(out.startswith("36 jobs, 0 lost,"), out)
        with open(self.dir + "/list", encoding="utf-8") as f:
            self.assertEqual(f.read(), expected)

    def test_the_picture_is_a_bitmap(self):
        self.run_demo(*SMALL, *QUIET, "--workers", "0", "--out", self.dir + "/picture.bmp")
        with open(self.dir + "/picture.bmp", "rb") as f:
            content = f.read()
        self.assertEqual(content[:2], b"BM")
        self.assertEqual(len(content), 54 + 64 * 64 * 3)
        self.assertEqual(int.from_bytes(content[2:6], "little"), len(content))

    def test_an_interrupt_ends_all_that_was_started(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.begin(*SMALL, "--work", "60000", "--kills", "0", "--server-kills", "0")
            line = process.stderr.readline()
            self.assertRegex(line, r"http://127\.0\.0\.1:\d+/ shows it")
            process.send_signal(number)
            process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 130)
            self.check_nothing_is_left()

    def test_a_time_limit_ends_it_and_says_what_is_missing(self):
        out, errors = self.run_demo(*SMALL, *QUIET, "--work", "60000", "--limit", "1", status=1)
        self.assertEqual(out, "")
        self.assertIn("--limit: not all jobs ended within 1 s", errors)

    def test_what_is_wrong_is_named(self):
        for options, text in ((("--tiles", "7"), "--edge 1024 is no multiple of --tiles 7"),
                              (("--workers", "many"), "--workers takes 0 to 16, not \"many\""),
                              (("--files", self.dir + "/none"), "/none: No such file or directory"),
                              (("--seed",), "--seed lacks its value"), (("--what",), "there is no option --what")):
            _, errors = self.run_demo(*options, status=2)
            self.assertIn(text, errors)
        _, errors = self.run_demo(*SMALL, *QUIET, status=1, HEDDLE_NATS_SERVER=self.dir + "/none")
        self.assertIn(self.dir + "/none", errors)


if __name__ == "__main__":
    support.main()
