#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Other programs' clients against a heddle server: Python's aiohttp, httpx and requests, curl, h2load, ab."""
import asyncio
import io
import json
import re
import ssl
import subprocess
import unittest

import aiohttp
import httpx
import requests

import support
from http_peers import PeerTest, pattern, prose, sum_of

LARGE = 1_500_007
DATA = pattern(LARGE)
VALUE = {"text": "grüß", "list": [1, 2.5, None]}
REDIRECTIONS = {301: "GET", 302: "GET", 303: "GET", 307: "POST", 308: "POST"}


def pieces(step=70_001):
    for at in range(0, LARGE, step):
        yield DATA[at:at + step]


async def async_pieces():
    for piece in pieces():
        yield piece


class Aiohttp(PeerTest):
    def run_with(self, talk, base):
        """Calls talk(session, made): `made` lists the connections that were made."""
        made = []
        trace = aiohttp.TraceConfig()

        async def note(*_):
            made.append(1)
        trace.on_connection_create_end.append(note)

        async def run():
            context = ssl.create_default_context(cafile=self.authority.ca)
            async with aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(ssl=context), trace_configs=[trace],
                                             timeout=aiohttp.ClientTimeout(support.PATIENCE)) as session:
                await talk(session, made)
        asyncio.run(run())

    async def talk(self, s, made):
        for _ in range(20):
            async with s.get("/hello") as a:
                self.assertEqual((a.status, await a.text()), (200, "hello"))
        self.assertEqual(len(made), 1)
        async with s.post("/json", json=VALUE) as a:
            self.assertEqual(await a.json(), {**VALUE, "seen": True})
        async with s.post("/count", data=async_pieces()) as a:
            self.assertEqual(await a.text(), sum_of(DATA))
        async with s.post("/count", data=io.BytesIO(DATA), expect100=True) as a:
            self.assertEqual(await a.text(), sum_of(DATA))
        for length in {}, {"length": "1"}:
            async with s.get("/big", params={"n": LARGE, **length}) as a:
                self.assertEqual(sum_of(await a.read()), sum_of(DATA))
        async with s.get("/text") as a:
            self.assertIn(a.headers["Content-Encoding"], ("gzip", "deflate", "br"))
            self.assertEqual(await a.text(), prose())
        fields = aiohttp.FormData()
        fields.add_field("field", "a value")
        fields.add_field("file", DATA[:100_000], filename="pättern.bin")
        async with s.post("/form", data=fields) as a:
            found = await a.json()
            self.assertEqual((found["field"], found["file"]["sum"]), ("a value", sum_of(DATA[:100_000])))
        for status, method in REDIRECTIONS.items():
            async with s.post(f"/moved/{status}", data="body") as a:
                self.assertEqual((a.status, (await a.json())["method"], len(a.history)), (200, method, 1))
        async with s.head("/hello") as a:
            self.assertEqual((a.status, a.headers["Content-Length"], await a.read()), (200, "5", b""))
        for seen in {}, {"taste": "sweet"}:
            async with s.get("/cookies") as a:
                self.assertEqual(await a.json(), seen)

    def test_it_talks_plainly(self):
        self.run_with(self.talk, self.plain.replace("127.0.0.1", "localhost"))  # its jar keeps no cookie of an address

    def test_it_talks_tls(self):
        self.run_with(self.talk, self.secure)

    def test_many_at_once_share_few_connections(self):
        async def talk(s, made):
            async def one(i):
                async with s.post("/json", json={"i": i}) as a:
                    self.assertEqual(await a.json(), {"i": i, "seen": True})
            await asyncio.gather(*(one(i) for i in range(500)))
            self.assertLessEqual(len(made), 100)  # the limit of its connector
        self.run_with(talk, self.plain)

    def test_one_that_leaves_in_the_midst_of_a_body_harms_no_other(self):
        async def talk(s, made):
            async with s.get("/big", params={"n": 1 << 30}) as a:
                await a.content.readexactly(1000)
            async with s.get("/hello") as a:
                self.assertEqual(await a.text(), "hello")
        self.run_with(talk, self.plain)


class Httpx(PeerTest):
    def talk(self, base):
        made = []

        def note(event, info):
            if event == "connection.connect_tcp.complete":
                made.append(1)
        context = ssl.create_default_context(cafile=self.authority.ca)
        with httpx.Client(base_url=base, verify=context, trust_env=False, timeout=support.PATIENCE) as c:
            for _ in range(20):
                a = c.get("/hello", extensions={"trace": note})
                self.assertEqual((a.status_code, a.text), (200, "hello"))
            self.assertEqual(len(made), 1)
            self.assertEqual(c.post("/json", json=VALUE).json(), {**VALUE, "seen": True})
            self.assertEqual(c.post("/count", content=pieces()).text, sum_of(DATA))
            self.assertEqual(c.post("/count", content=DATA).text, sum_of(DATA))
            for length in "", "&length=1":
                with c.stream("GET", f"/big?n={LARGE}{length}") as a:
                    self.assertEqual(sum_of(b"".join(a.iter_bytes())), sum_of(DATA))
            a = c.get("/text")
            self.assertIn(a.headers["Content-Encoding"], ("gzip", "deflate", "br"))
            self.assertEqual(a.text, prose())
            found = c.post("/form", data={"field": "a value"}, files={"file": ("pättern.bin", DATA[:100_000])}).json()
            self.assertEqual((found["field"], found["file"]["sum"]), ("a value", sum_of(DATA[:100_000])))
            for status, method in REDIRECTIONS.items():
                a = c.post(f"/moved/{status}", content="body", follow_redirects=True)
                self.assertEqual((a.status_code, a.json()["method"], len(a.history)), (200, method, 1))
            self.assertEqual(c.head("/hello").headers["Content-Length"], "5")
            self.assertEqual([c.get("/cookies").json() for _ in range(2)], [{}, {"taste": "sweet"}])

    def test_it_talks_plainly(self):
        self.talk(self.plain)

    def test_it_talks_tls(self):
        self.talk(self.secure)


class Requests(PeerTest):
    def talk(self, base):
        with requests.Session() as s:
            s.trust_env, s.verify = False, self.authority.ca
            for _ in range(20):
                a = s.get(base + "/hello", timeout=support.PATIENCE)
                self.assertEqual((a.status_code, a.text), (200, "hello"))
            pool = s.get_adapter(base).poolmanager.connection_from_url(base)
            self.assertEqual(pool.num_connections, 1)
            self.assertEqual(s.post(base + "/json", json=VALUE).json(), {**VALUE, "seen": True})
            self.assertEqual(s.post(base + "/count", data=pieces()).text, sum_of(DATA))
            self.assertEqual(s.post(base + "/count", data=DATA).text, sum_of(DATA))
            for length in "", "&length=1":
                with s.get(f"{base}/big?n={LARGE}{length}", stream=True) as a:
                    self.assertEqual(sum_of(b"".join(a.iter_content(65536))), sum_of(DATA))
            a = s.get(base + "/text")
            self.assertIn(a.headers["Content-Encoding"], ("gzip", "deflate", "br"))
            self.assertEqual(a.text, prose())
            found = s.post(base + "/form", data={"field": "a value"}, files={"file": ("pättern.bin", DATA[:100_000])}).json()
            self.assertEqual((found["field"], found["file"]["sum"]), ("a value", sum_of(DATA[:100_000])))
            for status, method in REDIRECTIONS.items():
                a = s.post(f"{base}/moved/{status}", data="body")
                self.assertEqual((a.status_code, a.json()["method"], len(a.history)), (200, method, 1))
            self.assertEqual(s.head(base + "/hello").headers["Content-Length"], "5")
            self.assertEqual([s.get(base + "/cookies").json() for _ in range(2)], [{}, {"taste": "sweet"}])

    def test_it_talks_plainly(self):
        self.talk(self.plain)

    def test_it_talks_tls(self):
        self.talk(self.secure)


class Curl(PeerTest):
    def curl(self, path, *options, input=None):
        """What curl printed, by plain HTTP and by TLS: the same."""
        found = set()
        for base in self.plain, self.secure:
            done = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(support.PATIENCE), "--cacert",
                                   self.authority.ca, *options, base + path], input=input, capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, b""), options)
            found.add(done.stdout)
        self.assertEqual(len(found), 1, found)
        return found.pop()

    def test_it_gets_and_keeps_its_connection(self):
        for base in self.plain, self.secure:
            done = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(support.PATIENCE), "--cacert",
                                   self.authority.ca, "-w", " %{num_connects}\n", *[base + "/hello"] * 20], capture_output=True)
            self.assertEqual(done.stdout, b"hello 1\n" + b"hello 0\n" * 19)

    def test_it_posts_json(self):
        answer = self.curl("/json", "-H", "Content-Type: application/json", "-d", json.dumps(VALUE))
        self.assertEqual(json.loads(answer), {**VALUE, "seen": True})

    def test_it_uploads_and_waits_for_100(self):
        for fields in (), ("-H", "Expect: 100-continue"), ("-H", "Transfer-Encoding: chunked"):
            self.assertEqual(self.curl("/count", "--data-binary", "@-", *fields, input=DATA).decode(), sum_of(DATA))
        answer = self.curl("/form", "-F", "field=a value", "-F", "file=@-;filename=x.bin", input=DATA[:100_000])
        self.assertEqual(json.loads(answer), {"field": "a value", "file": {"file": "x.bin", "sum": sum_of(DATA[:100_000])}})

    def test_it_downloads(self):
        for length in "", "&length=1":
            self.assertEqual(sum_of(self.curl(f"/big?n={LARGE}{length}")), sum_of(DATA))
        self.assertEqual(self.curl("/text", "--compressed").decode(), prose())
        self.assertEqual(self.curl("/big?n=1000", "--http1.0"), DATA[:1000])

    def test_it_follows_redirections(self):
        for status, method in REDIRECTIONS.items():
            answer = json.loads(subprocess.run(
                ["curl", "-q", "-sSL", "--noproxy", "*", "--max-time", str(support.PATIENCE), "-d", "body",
                 f"{self.plain}/moved/{status}"], check=True, capture_output=True).stdout)
            self.assertEqual(answer["method"], method)


class Loads(PeerTest):
    """What is true on any machine: each request is answered, and rightly."""

    def test_h2load_sees_no_error(self):
        for base in self.plain, self.secure:
            for path, more in ("/hello", ()), ("/big?n=20000", ()), ("/json", ("-H", "Content-Type: application/json", "-d", "-")):
                body = self.dir + "/body.json"
                with open(body, "w") as f:
                    json.dump(VALUE, f)
                done = subprocess.run(["h2load", "--h1", "-n", "2000", "-c", "20", "-m", "4", "-t", "1",
                                       *(body if word == "-" else word for word in more), base + path],
                                      capture_output=True, text=True, timeout=support.PATIENCE)
                self.assertIn("2000 succeeded, 0 failed, 0 errored, 0 timeout", done.stdout, done.stderr)
                self.assertIn("status codes: 2000 2xx", done.stdout)

    def test_ab_sees_no_error(self):
        for base in self.plain, self.secure:
            for options in (), ("-k",):
                done = subprocess.run(["ab", "-q", "-n", "1000", "-c", "10", *options, base + "/hello"], capture_output=True,
                                      text=True, timeout=support.PATIENCE)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(int(re.search(r"Complete requests: +(\d+)", done.stdout)[1]), 1000, done.stdout)
                self.assertEqual(int(re.search(r"Failed requests: +(\d+)", done.stdout)[1]), 0, done.stdout)
                self.assertNotIn("Non-2xx", done.stdout)
                if options:
                    self.assertEqual(int(re.search(r"Keep-Alive requests: +(\d+)", done.stdout)[1]), 1000, done.stdout)


if __name__ == "__main__":
    support.main()
