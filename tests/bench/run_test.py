#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bench/run with programs that only pretend: how it starts them, what it makes of their lines, and
how programs from outside the tree take part (--also). Nothing is built, and no figure is judged.

usage: run_test.py [NAME...]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

RUN = pathlib.Path(__file__).resolve().parents[2] / "bench" / "run"

# A program that ends: one line a run. It writes down how it was called.
COMPUTES = """#!/usr/bin/python3
import json, pathlib, sys
words = sys.argv[1:]
told = dict(zip(words[::2], words[1::2])) if len(words) % 2 == 0 else {}
pathlib.Path(__file__ + ".called").write_text(json.dumps(words))
for _ in range(int(told.get("--repeat", 1))):
    print(json.dumps(dict(ns=TIME, size=int(told.get("--size", 1)))))
"""
SERVES = """#!/usr/bin/python3
import pathlib, json, socket, sys
pathlib.Path(__file__ + ".called").write_text(json.dumps(sys.argv[1:]))
with socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1]))) as s:
    while True:
        s.accept()[0].close()
"""
LOADS = """#!/usr/bin/python3
print('{"rate":1000,"p50_us":1,"p99_us":2,"p999_us":3,"client_cpu":0.5,"answers":100}')
"""
REFUSES = """#!/usr/bin/python3
import sys
sys.exit("no such problem here") if "--broken" in sys.argv else None
sys.stderr.write("has no such problem\\n")
sys.exit(3)
"""


class BenchRun(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="heddle-bench-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "bench" / "programs").mkdir(parents=True)
        (self.folder / "bench" / "peers.txt").write_text("heddle\t1.2.3\t\nonetbb\t\tlibtbb-dev\n")

    def program(self, path, text):
        path = self.folder / path
        path.write_text(text)
        path.chmod(0o755)
        return path

    def built(self, name, text):
        return self.program(pathlib.Path("bench") / "programs" / name, text)

    def run_bench(self, *words):
        """(status, rows by name, what it said on stderr)."""
        out = self.folder / "out.json"
        done = subprocess.run(
            [sys.executable, "-B", str(RUN), "--smoke", "--as-built", "--build-dir",
             str(self.folder), "--json", str(out), *words],
            capture_output=True, text=True, check=False)
        rows = {}
        if out.exists():
            rows = {row["name"]: row for suite in json.loads(out.read_text())["suites"]
                    for row in suite["rows"]}
        return done.returncode, rows, done.stderr

    def test_a_program_from_outside_stands_beside_the_peers(self):
        self.built("fib_heddle", COMPUTES.replace("TIME", "1000"))
        far = self.program("far", COMPUTES.replace("TIME", "500"))
        status, rows, said = self.run_bench("fib-2", "--also", f"far-1.0={far}")
        self.assertEqual(status, 0, said)
        found = {r["peer"]: r for r in rows["fib-2"]["results"]}
        self.assertEqual(sorted(found), ["far-1.0", "heddle"])
        self.assertEqual(found["far-1.0"]["values"], [500])
        self.assertEqual(found["far-1.0"]["advantage"], 0.5)
        called = json.loads(pathlib.Path(f"{far}.called").read_text())
        self.assertEqual(called, ["--threads", "2", "--size", "20", "--repeat", "2"])
        self.assertIn("onetbb", rows["fib-2"]["skipped"])

    def test_problem_and_row_in_the_command_are_replaced(self):
        self.built("fib_heddle", COMPUTES.replace("TIME", "1000"))
        far = self.program("far_fib", COMPUTES.replace("TIME", "500"))
        where = str(far).replace("far_fib", "far_{problem}")
        status, _, said = self.run_bench("fib-1", "--also", f"far={where} --row {{row}}")
        self.assertEqual(status, 0, said)
        called = json.loads(pathlib.Path(f"{far}.called").read_text())
        self.assertEqual(called[:4], ["--row", "fib-1", "--threads", "1"])

    def test_what_a_program_does_not_offer_is_skipped(self):
        self.built("fib_heddle", COMPUTES.replace("TIME", "1000"))
        far = self.program("far", REFUSES)
        status, rows, said = self.run_bench("fib-2", "--also", f"far={far}", "--also",
                                            "away=/nowhere/at/all")
        self.assertEqual(status, 0, said)
        self.assertEqual(rows["fib-2"]["skipped"]["far"], "has no such problem")
        self.assertIn("/nowhere/at/all", rows["fib-2"]["skipped"]["away"])

    def test_a_program_that_fails_makes_the_bench_fail(self):
        self.built("fib_heddle", COMPUTES.replace("TIME", "1000"))
        far = self.program("far", REFUSES)
        status, rows, _ = self.run_bench("fib-2", "--also", f"far={far} --broken")
        self.assertEqual(status, 1)
        self.assertIn("no such problem here", rows["fib-2"]["failed"]["far"])

    def test_a_line_without_a_time_is_a_failure_and_no_crash(self):
        self.built("fib_heddle", COMPUTES.replace("ns=TIME", "us=1"))
        status, rows, _ = self.run_bench("fib-2")
        self.assertEqual(status, 1)
        self.assertIn("heddle", rows["fib-2"]["failed"])

    def test_a_primitive_from_outside_is_asked_for_its_row(self):
        self.built("micro_tasks", """#!/usr/bin/python3
print('{"benchmarks":[{"real_time":8}]}')
""")
        (self.folder / "bench" / "peers.txt").write_text("googlebenchmark\t1.7\t\n")
        far = self.program("far", COMPUTES.replace("TIME", "4"))
        status, rows, said = self.run_bench("plain_co_await-2", "--also", f"far={far}")
        self.assertEqual(status, 0, said)
        found = {r["peer"]: r["values"] for r in rows["plain_co_await-2"]["results"]}
        self.assertEqual(found, {"heddle": [8], "far": [4]})
        called = json.loads(pathlib.Path(f"{far}.called").read_text())
        self.assertEqual(called[:2], ["--row", "plain_co_await"])

    def test_names_of_peers_and_commands_without_a_name_are_refused(self):
        for given in ("onetbb=/bin/true", "=/bin/true", "far", "far="):
            with self.subTest(given):
                self.assertEqual(self.run_bench("fib-2", "--also", given)[0], 2)

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "servers need two processors")
    def test_a_server_from_outside_is_asked_by_the_same_load(self):
        self.built("reference_server", SERVES)
        self.built("load", LOADS)
        self.built("echo_heddle", SERVES)
        far = self.program("far", SERVES)
        away = self.program("away", REFUSES)
        status, rows, said = self.run_bench("echo-64", "--also", f"far={far} {{problem}}",
                                            "--also", f"away={away}")
        self.assertEqual(status, 0, said)
        found = {r["peer"]: r for r in rows["echo-64"]["results"]}
        self.assertEqual(found["far"]["values"], [1.0])
        self.assertEqual(found["far"]["rate"], 1000)
        called = json.loads(pathlib.Path(f"{far}.called").read_text())
        self.assertEqual(called[0], "echo")
        self.assertEqual(called[1::2], ["--port", "--threads"])
        self.assertIn("away", rows["echo-64"]["skipped"])


SEEING = RUN.parent / "seeing"
MICRO = """#!/usr/bin/python3
import json, sys
if sys.argv[2] != "--benchmark_filter=.":
    sys.exit()
print(json.dumps({"benchmarks": [{"name": "NAME/real_time", "real_time": TIME}]}))
"""


class BenchSeeing(unittest.TestCase):
    """bench/seeing with two builds that only pretend."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="heddle-bench-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for build, time in (("seen", 12), ("unseen", 8)):
            programs = self.folder / build / "bench" / "programs"
            programs.mkdir(parents=True)
            (programs.parent / "peers.txt").write_text("heddle\t1.2.3\t\n")
            for name in ("micro_tasks", "micro_sync", "micro_loops"):
                program = programs / name
                program.write_text(MICRO.replace("NAME", name).replace("TIME", str(time)))
                program.chmod(0o755)

    def run_seeing(self, *words):
        done = subprocess.run([SEEING, "--as-built", "--build-dir", self.folder, "--pairs", "3",
                               *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_each_row_has_the_ratio_of_both_builds(self):
        status, out, said = self.run_seeing()
        self.assertEqual(status, 0, said)
        for name in ("micro_tasks", "micro_sync", "micro_loops"):
            self.assertIn(f"| {name} | 8.0 | 12.0 | 1.500 | 1.50 | 1.50 |", out)
        self.assertIn("| all rows, geometric mean | | | 1.500 | | |", out)

    def test_a_row_that_nothing_fits_and_a_program_that_is_missing_are_told(self):
        status, _, said = self.run_seeing("nothing_like_it")
        self.assertEqual((status, "'nothing_like_it'" in said), (1, True), said)
        (self.folder / "unseen" / "bench" / "programs" / "micro_sync").unlink()
        status, _, said = self.run_seeing()
        self.assertEqual((status, "micro_sync" in said), (1, True), said)
        self.assertEqual(self.run_seeing("(")[0], 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
