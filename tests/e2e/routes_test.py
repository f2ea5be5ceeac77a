#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every route of heddle-serve, asked for with curl."""
import email.utils
import hashlib
import json
import os
import random
import time

import support


def hash_chain(rounds):
    """What /hash computes, written down a second time."""
    mask = (1 << 64) - 1
    h = 0x9e3779b97f4a7c15
    for i in range(rounds):
        h ^= i
        h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9 & mask
        h = (h ^ (h >> 27)) * 0x94d049bb133111eb & mask
        h ^= h >> 31
    return h


class Routes(support.ServedTest):
    def test_plaintext_says_hello(self):
        a = self.curl("/plaintext")
        self.assertEqual((a.status, a.body), (200, b"Hello, World!"))
        self.assertEqual(a.version, "HTTP/1.1")
        self.assertEqual(a["content-type"], "text/plain")
        self.assertEqual(a["content-length"], "13")

    def test_the_date_is_now(self):
        a = self.curl("/plaintext")
        self.assertRegex(a["date"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
        told = email.utils.parsedate_to_datetime(a["date"]).timestamp()
        self.assertAlmostEqual(told, time.time(), delta=5)

    def test_json_says_hello(self):
        a = self.curl("/json")
        self.assertEqual(a.status, 200)
        self.assertEqual(a["content-type"], "application/json")
        self.assertEqual(json.loads(a.body), {"message": "Hello, World!"})

    def test_sleep_answers_no_earlier_than_asked(self):
        began = time.monotonic()
        a = self.curl("/sleep?ms=150")
        self.assertEqual((a.status, a.text), (200, "slept 150 ms\n"))
        self.assertGreaterEqual(time.monotonic() - began, 0.15)

    def test_hash_computes_what_it_says(self):
        a = json.loads(self.curl("/hash?n=1000").body)
        self.assertEqual((a["n"], a["hash"]), (1000, hash_chain(1000)))

    def test_primes_counts_what_it_says(self):
        for n, count in (0, 0), (2, 1), (100, 25), (1_000_000, 78498):
            a = json.loads(self.curl(f"/primes?n={n}").body)
            self.assertEqual((a["n"], a["primes"]), (n, count))

    def test_fork_computes_what_it_says(self):
        a = json.loads(self.curl("/fork?n=24").body)
        self.assertEqual((a["n"], a["fibonacci"]), (24, 46368))

    def test_spin_hogs_as_long_as_asked(self):
        began = time.monotonic()
        a = self.curl("/spin?ms=100")
        self.assertEqual((a.status, a.text), (200, "hogged the loop for 100 ms\n"))
        self.assertGreaterEqual(time.monotonic() - began, 0.1)

    def test_a_wrong_number_is_answered_with_400_and_the_reason(self):
        for query in "/sleep?ms=soon", "/hash?n=-1", "/primes?n=1e3", "/spin?ms=99999999", "/fork?n=":
            a = self.curl(query)
            self.assertEqual(a.status, 400, query)
            self.assertIn("is a number from 0 to", a.text)

    def test_stats_has_all_figures_and_is_not_cached(self):
        a = self.curl("/stats")
        self.assertEqual(a["cache-control"], "no-store")
        s = json.loads(a.body)
        for name in "uptime_s", "requests", "refused", "connections", "tasks":
            self.assertGreaterEqual(s[name], 0)
        self.assertEqual(s["loops_count"], 2)
        self.assertEqual(s["reactor"], {"epoll": "epoll", "uring": "io_uring"}[support.settings.reactor])
        self.assertEqual(set(s["latency_us"]), {"p50", "p99", "max"})
        self.assertEqual([loop["id"] for loop in s["loops"]], [0, 1])
        for loop in s["loops"]:
            self.assertTrue(0 <= loop["busy"] <= 1)
            for name in ("run", "stolen", "parked", "woken", "queue", "forks", "inbox", "polls",
                         "io_events", "rescues", "timers", "created"):
                self.assertGreaterEqual(loop[name], 0)

    def test_stats_counts_requests(self):
        before = json.loads(self.curl("/stats").body)
        for _ in range(5):
            self.curl("/plaintext")
        self.curl("/plaintext", "-H", "Host: a", "-H", "Content-Length: x")
        after = json.loads(self.curl("/stats").body)
        self.assertEqual(after["requests"] - before["requests"], 7)  # the first look is one of them
        self.assertEqual(after["refused"] - before["refused"], 1)

    def test_the_page_is_served(self):
        a = self.curl("/")
        self.assertEqual(a.status, 200)
        self.assertEqual(a["content-type"].split(";")[0], "text/html")
        self.assertIn("<title>heddle", a.text)

    def test_an_unknown_path_is_404(self):
        for path in "/nothing", "/plaintext/", "/files", "/PLAINTEXT":
            self.assertEqual(self.curl(path).status, 404, path)

    def test_a_wrong_method_is_405_and_the_right_ones_are_named(self):
        for method in "POST", "PUT", "DELETE":
            a = self.curl("/plaintext", "-X", method)
            self.assertEqual(a.status, 405, method)
            self.assertEqual(a["allow"], "GET, HEAD")

    def test_options_of_a_path_names_its_methods(self):
        a = self.curl("/plaintext", "-X", "OPTIONS")
        self.assertEqual((a.status, a["allow"], a.body), (204, "GET, HEAD, OPTIONS", b""))

    def test_head_is_get_without_a_body(self):
        for path in "/plaintext", "/json", "/", "/hash?n=5":
            got, head = self.curl(path), self.curl(path, "-I")
            self.assertEqual((head.status, head.body), (200, b""), path)
            if "hash" not in path:  # its answer holds the time it took
                self.assertEqual(head["content-length"], got["content-length"])
            self.assertEqual(head["content-type"], got["content-type"])

    def test_a_request_may_have_a_chunked_body(self):
        a = self.curl("/plaintext", "-X", "GET", "-H", "Transfer-Encoding: chunked",
                      "--data-binary", "x" * 100_000)
        self.assertEqual((a.status, a.body), (200, b"Hello, World!"))

    def test_connections_are_kept(self):
        urls = [self.server.url + "/plaintext"] * 9
        with_count = ["-w", "%{num_connects} "] + urls
        done = support.subprocess.run(
            ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", "20", "-o", "/dev/null", *with_count,
             *sum((["-o", "/dev/null"] for _ in urls[1:]), [])],
            stdout=support.subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.split(), [b"1"] + [b"0"] * 8)


class Files(support.ServedTest):
    @classmethod
    def prepare(cls):
        root = cls.dir + "/root"
        os.makedirs(root + "/sub")
        os.makedirs(root + "/with index")
        os.makedirs(cls.dir + "/root-beside")
        cls.big = random.Random(2).randbytes(3_000_000)
        cls.write(root + "/hello.txt", b"0123456789" * 10)
        cls.write(root + "/empty.txt", b"")
        cls.write(root + "/big.bin", cls.big)
        cls.write(root + "/sub/page.html", b"<p>inner</p>")
        cls.write(root + "/with index/index.html", b"<p>index</p>")
        cls.write(root + "/a b+c%25.txt", b"odd name")
        cls.write(cls.dir + "/secret.txt", b"SECRET")
        cls.write(cls.dir + "/root-beside/secret.txt", b"SECRET")
        os.symlink("../secret.txt", root + "/link-out.txt")
        os.symlink(cls.dir + "/secret.txt", root + "/absolute-link-out.txt")
        os.symlink("..", root + "/dir-out")
        os.symlink("/", root + "/to-the-root")
        os.symlink("hello.txt", root + "/link-in.txt")
        os.mkfifo(root + "/pipe")
        cls.options = ("--files", root)

    @staticmethod
    def write(path, data):
        with open(path, "wb") as f:
            f.write(data)

    def test_a_file_is_served_with_its_type_and_length(self):
        a = self.curl("/files/hello.txt")
        self.assertEqual((a.status, a.body), (200, b"0123456789" * 10))
        self.assertEqual(a["content-type"].split(";")[0], "text/plain")
        self.assertEqual(a["content-length"], "100")
        self.assertEqual(a["accept-ranges"], "bytes")
        self.assertEqual(self.curl("/files/sub/page.html")["content-type"].split(";")[0], "text/html")
        self.assertEqual(self.curl("/files/empty.txt").body, b"")

    def test_a_large_file_arrives_whole(self):
        a = self.curl("/files/big.bin")
        self.assertEqual(hashlib.sha256(a.body).digest(), hashlib.sha256(self.big).digest())
        self.assertEqual(a["content-type"], "application/octet-stream")

    def test_head_of_a_file_tells_its_length(self):
        a = self.curl("/files/big.bin", "-I")
        self.assertEqual((a.status, a["content-length"], a.body), (200, "3000000", b""))

    def test_an_encoded_name_is_decoded_once(self):
        self.assertEqual(self.curl("/files/a%20b+c%2525.txt").body, b"odd name")
        self.assertEqual(self.curl("/files/hello%252etxt").status, 404)

    def test_a_directory_stands_for_its_index(self):
        self.assertEqual(self.curl("/files/with%20index/").body, b"<p>index</p>")
        self.assertEqual(self.curl("/files/sub/").status, 404)
        self.assertEqual(self.curl("/files/").status, 404)

    def test_ranges(self):
        def part(asked):
            a = self.curl("/files/hello.txt", "-r", asked)
            return a.status, a.text, a["content-range"]
        self.assertEqual(part("0-4"), (206, "01234", "bytes 0-4/100"))
        self.assertEqual(part("95-"), (206, "56789", "bytes 95-99/100"))
        self.assertEqual(part("-3"), (206, "789", "bytes 97-99/100"))
        self.assertEqual(part("98-200"), (206, "89", "bytes 98-99/100"))
        self.assertEqual(part("99-99"), (206, "9", "bytes 99-99/100"))
        self.assertEqual(self.curl("/files/hello.txt", "-r", "100-").status, 416)
        self.assertEqual(self.curl("/files/hello.txt", "-r", "100-")["content-range"], "bytes */100")
        self.assertEqual(self.curl("/files/hello.txt", "-r", "-0").status, 416)
        for whole in "5-2", "a-b", "0-1,5-6", "0-99999999999999999999999":
            a = self.curl("/files/hello.txt", "-H", "Range: bytes=" + whole)
            self.assertIn((a.status, len(a.body)), [(200, 100), (206, 100)], whole)
        self.assertEqual(self.curl("/files/hello.txt", "-H", "Range: lines=0-1").status, 200)

    def test_a_range_of_a_large_file(self):
        a = self.curl("/files/big.bin", "-r", "1000000-2999998")
        self.assertEqual((a.status, a.body == self.big[1000000:2999999]), (206, True))

    def test_what_has_not_changed_is_not_sent_again(self):
        first = self.curl("/files/hello.txt")
        for field in ("If-Modified-Since: " + first["last-modified"], "If-None-Match: " + first["etag"],
                      "If-None-Match: *"):
            a = self.curl("/files/hello.txt", "-H", field)
            self.assertEqual((a.status, a.body), (304, b""), field)
        for field in ("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 'If-None-Match: "other"',
                      "If-Modified-Since: yesterday"):
            self.assertEqual(self.curl("/files/hello.txt", "-H", field).status, 200, field)

    def test_a_range_of_another_version_is_not_sent(self):
        first = self.curl("/files/hello.txt")
        fresh = self.curl("/files/hello.txt", "-r", "0-4", "-H", "If-Range: " + first["etag"])
        stale = self.curl("/files/hello.txt", "-r", "0-4", "-H", 'If-Range: "other"')
        self.assertEqual((fresh.status, fresh.text), (206, "01234"))
        self.assertEqual((stale.status, len(stale.body)), (200, 100))

    def test_no_path_leads_out_of_the_root(self):
        up = ["..", "%2e%2e", "%2E%2e", ".%2e", "%2e."]
        slash = ["/", "%2f", "%2F"]
        paths = ["/files/" + u + s + "secret.txt" for u in up for s in slash]
        paths += ["/files/sub/" + u + s + u + s + "secret.txt" for u in up for s in slash]
        paths += ["/files/../files/../secret.txt", "/files/sub/../../secret.txt", "/../secret.txt",
                  "/files/..%5csecret.txt", "/files/..%255c..%255csecret.txt", "/files/%252e%252e/secret.txt",
                  "/files/..%00/secret.txt", "/files/hello.txt%00/../../secret.txt",
                  "/files/../root-beside/secret.txt", "/files" + self.dir + "/secret.txt",
                  "/files/" + self.dir + "/secret.txt", "/files/%2f" + self.dir + "/secret.txt",
                  "/files/%2fetc%2fpasswd", "/files//etc/passwd", "/files/..%c0%afsecret.txt",
                  "/files/%c0%ae%c0%ae/secret.txt", "/files/....//secret.txt"]
        paths += ["/files/link-out.txt", "/files/absolute-link-out.txt", "/files/dir-out/secret.txt",
                  "/files/to-the-root/etc/passwd", "/files/to-the-root" + self.dir + "/secret.txt",
                  "/files/dir-out/root/hello.txt"]
        for path in paths:
            a = self.curl(path)
            self.assertIn(a.status, (400, 404), path)
            self.assertNotIn(b"SECRET", a.body, path)
            self.assertNotIn(b"root:", a.body, path)

    def test_no_absolute_target_leads_out_of_the_root(self):
        wire = self.wire()
        a = wire.get("http://here/files/../secret.txt")
        self.assertIn(a.status, (400, 404))

    def test_a_link_inside_the_root_is_followed(self):
        self.assertEqual(self.curl("/files/link-in.txt").status, 200)

    def test_what_is_no_file_is_not_served(self):
        # A pipe must not be opened for reading: that would block until somebody writes.
        self.assertEqual(self.curl("/files/pipe").status, 404)

    def test_files_are_read_only(self):
        for method in "PUT", "POST", "DELETE":
            self.assertEqual(self.curl("/files/hello.txt", "-X", method, "-d", "x").status, 405)

    def test_a_client_that_leaves_in_the_middle_of_a_file_does_no_harm(self):
        for _ in range(8):
            wire = support.Wire(self.server.port)
            wire.send("GET /files/big.bin HTTP/1.1\r\nHost: here\r\n\r\n")
            wire.socket.recv(1000)
            wire.close()
        self.assertEqual(self.curl("/plaintext").status, 200)


if __name__ == "__main__":
    support.main()
