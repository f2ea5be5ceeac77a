#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""TLS with other programs: curl, the openssl command and Python's ssl against heddle-serve; a heddle client against openssl
s_server and Python's ssl."""
import hashlib
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

import support


def make_certificate(directory):
    """Paths of a certificate for localhost that signed itself, and of its key."""
    certificate, key = directory + "/chain.pem", directory + "/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    return certificate, key


class SelfMade(support.ServedTest):
    options = ("--tls",)

    @classmethod
    def may_say(cls, errors):
        # curl refuses the certificate, and says so.
        return all(not line or "TLS handshake" in line for line in errors.split("\n"))

    def test_it_says_that_nobody_trusts_its_certificate(self):
        self.assertEqual(self.server.scheme, "https")
        self.assertTrue(any("self-made certificate" in line for line in self.server.lines), self.server.lines)

    def test_curl_takes_it_only_when_told_to(self):
        done = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(support.PATIENCE),
                               self.server.url + "/plaintext"], capture_output=True)
        self.assertEqual(done.returncode, 60, done)  # CURLE_PEER_FAILED_VERIFICATION
        a = self.curl("/plaintext", "--insecure")
        self.assertEqual((a.status, a.body), (200, b"Hello, World!"))

    def test_a_client_of_http_1_0_is_answered(self):
        # curl asks by ALPN for nothing but http/1.0 then.
        a = self.curl("/plaintext", "--insecure", "--http1.0")
        self.assertEqual((a.status, a.body), (200, b"Hello, World!"))

    def test_one_that_speaks_no_tls_is_ended(self):
        wire = self.wire()
        wire.send("GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        self.assertNotIn(b"HTTP", wire.rest())
        self.assertEqual(self.curl("/plaintext", "--insecure").status, 200)

    def test_stats_count_handshakes_and_resumptions(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        session = None
        for resumed in False, True, True:
            plain = socket.create_connection(("127.0.0.1", self.server.port), timeout=support.PATIENCE)
            with context.wrap_socket(plain, session=session) as s:
                s.sendall(b"GET /stats HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
                answer = b""
                while piece := s.recv(65536):
                    answer += piece
                self.assertEqual(s.session_reused, resumed)
                self.assertEqual(s.version(), "TLSv1.3")
                session = s.session
        counts = json.loads(answer.partition(b"\r\n\r\n")[2])["tls"]
        self.assertGreaterEqual(counts["handshakes"], 3)
        self.assertGreaterEqual(counts["resumed"], 2)


class Given(support.ServedTest):
    @classmethod
    def prepare(cls):
        cls.certificate, cls.key = make_certificate(cls.dir)
        cls.big = random.Random(3).randbytes(5_000_000)
        with open(cls.dir + "/big.bin", "wb") as f:
            f.write(cls.big)
        cls.options = ("--tls", "--certificate", cls.certificate, "--key", cls.key, "--files", cls.dir)

    def test_curl_verifies_it(self):
        for version in "1.2", "1.3":
            a = self.curl("/plaintext", "--cacert", self.certificate, "--tlsv" + version, "--tls-max", version)
            self.assertEqual((a.status, a.body), (200, b"Hello, World!"), version)
        self.assertFalse(any("self-made" in line for line in self.server.lines))

    def test_a_large_file_arrives_whole(self):
        a = self.curl("/files/big.bin", "--cacert", self.certificate)
        self.assertEqual(hashlib.sha256(a.body).digest(), hashlib.sha256(self.big).digest())

    def s_client(self, text, *options):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port}", "-servername", "localhost",
                               "-CAfile", self.certificate, "-verify_return_error", *options],
                              input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=support.PATIENCE)
        return done.returncode, done.stdout.decode("latin-1")

    def test_s_client_gets_an_answer_and_a_clean_end(self):
        request = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for version in "-tls1_2", "-tls1_3":
            status, said = self.s_client(request, version, "-ign_eof", "-alpn", "h2,http/1.1")
            self.assertEqual(status, 0, said)
            self.assertIn("Hello, World!", said)
            self.assertIn("Verification: OK", said)
            self.assertIn("ALPN protocol: http/1.1", said)
            self.assertNotIn("unexpected eof", said)

    def test_a_peer_that_asks_for_renegotiation_is_refused(self):
        # s_client asks for it at a line that begins with "R".
        _, said = self.s_client(b"R\n" * 20, "-tls1_2", "-no_ign_eof")
        self.assertIn("RENEGOTIATING", said)
        self.assertEqual(self.curl("/plaintext", "--cacert", self.certificate).status, 200)

    def test_keys_are_updated_while_bytes_flow(self):
        # s_client updates its keys at "k", and asks for both directions at "K".
        text = b"k\nK\nK\nQ\n"
        status, said = self.s_client(text, "-tls1_3")
        self.assertEqual(status, 0, said)
        self.assertIn("KEYUPDATE", said)


class Client(unittest.TestCase):
    """A heddle client."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="heddle-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.certificate, cls.key = make_certificate(cls.dir)

    def get(self, url, ca=None):
        environment = support.environment(HEDDLE_REACTOR=support.settings.reactor)
        done = subprocess.run([support.settings.client, url, self.certificate if ca is None else ca], capture_output=True,
                              timeout=support.PATIENCE, env=environment)
        return done.returncode, done.stdout, done.stderr.decode()

    def test_it_reads_a_file_from_s_server(self):
        with open(self.dir + "/page.txt", "w") as f:
            f.write("from s_server\n" * 5000)
        for version in "-tls1_2", "-tls1_3":
            server = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", self.certificate, "-key", self.key,
                                       "-WWW", version], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True, preexec_fn=support.die_with_parent)
            try:
                for line in server.stdout:
                    if found := re.match(r"ACCEPT 127\.0\.0\.1:(\d+)", line):
                        break
                status, said, errors = self.get(f"https://localhost:{found[1]}/page.txt")
                self.assertEqual((status, said, errors), (0, b"200 " + b"from s_server\n" * 5000, ""))
            finally:
                server.kill()
                server.wait()
                server.stdout.close()

    def serve_once(self, answer, in_order):
        """A server in Python for one connection. Returns its port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            try:
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as s:
                    while b"\r\n\r\n" not in s.recv(65536):
                        pass
                    s.sendall(answer)
                    if in_order:
                        s.unwrap().close()
                    else:
                        s.shutdown(socket.SHUT_WR)
                        while s.recv(65536):
                            pass
            except OSError:
                pass  # the client has ended
            listener.close()
        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)
        return listener.getsockname()[1]

    def test_it_tells_an_end_from_a_cut(self):
        answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it\n"
        status, said, errors = self.get(f"https://localhost:{self.serve_once(answer, True)}/")
        self.assertEqual((status, said, errors), (0, b"200 all of it\n", ""))
        status, said, errors = self.get(f"https://localhost:{self.serve_once(answer, False)}/")
        self.assertEqual((status, said), (1, b""))
        self.assertIn("without close_notify", errors)

    def test_it_does_not_believe_a_stranger(self):
        status, said, errors = self.get(f"https://localhost:{self.serve_once(b'', True)}/", "")
        self.assertEqual((status, said), (1, b""))
        self.assertIn("not trusted", errors)


if __name__ == "__main__":
    support.main()
