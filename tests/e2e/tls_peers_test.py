#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""TLS with nginx in front of heddle-serve and behind a heddle client, and with socat on both sides."""
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import support
from tls_test import make_certificate

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols {protocols};
    location = /own {{ default_type text/plain; return 200 "from nginx\\n"; }}
    location / {{
      proxy_pass https://127.0.0.1:{behind};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host localhost;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {certificate};
    }}
  }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_it_listens(process, port):
    end = time.monotonic() + support.PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{process.args[0]} does not listen on {port}")


class Peers(support.ServedTest):
    @classmethod
    def may_say(cls, errors):
        # Who looks whether nginx listens already speaks no TLS.
        return all(not line or "TLS handshake" in line for line in errors.split("\n"))

    @classmethod
    def prepare(cls):
        cls.certificate, cls.key = make_certificate(cls.dir)
        cls.options = ("--tls", "--certificate", cls.certificate, "--key", cls.key)

    def nginx(self, protocols="TLSv1.2 TLSv1.3"):
        """Its port."""
        directory = tempfile.mkdtemp(prefix="nginx-", dir=self.dir)
        port = free_port()
        config = pathlib.Path(directory) / "nginx.conf"
        config.write_text(CONFIG.format(dir=directory, port=port, certificate=self.certificate, key=self.key,
                                        behind=self.server.port, protocols=protocols))
        process = subprocess.Popen([NGINX, "-p", directory, "-c", str(config), "-e", "stderr"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=support.die_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.send_signal, signal.SIGTERM)
        wait_until_it_listens(process, port)
        return port

    def get(self, url):
        done = subprocess.run([support.settings.client, url, self.certificate], capture_output=True, timeout=support.PATIENCE,
                              env=support.environment(HEDDLE_REACTOR=support.settings.reactor))
        return done.returncode, done.stdout, done.stderr.decode()

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_nginx_in_front_keeps_its_connections(self):
        port = self.nginx()
        for _ in range(20):
            done = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(support.PATIENCE), "--cacert",
                                   self.certificate, f"https://localhost:{port}/plaintext"], capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (0, b"Hello, World!"), done)

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_a_heddle_client_asks_nginx(self):
        for protocols in "TLSv1.2", "TLSv1.3":
            port = self.nginx(protocols)
            self.assertEqual(self.get(f"https://localhost:{port}/own"), (0, b"200 from nginx\n", ""))
            self.assertEqual(self.get(f"https://localhost:{port}/plaintext"), (0, b"200 Hello, World!", ""))

    @unittest.skipUnless(shutil.which("socat"), "socat is not installed")
    def test_socat_asks(self):
        request = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        done = subprocess.run(["socat", "-t", str(support.PATIENCE), "STDIO",
                               f"OPENSSL:localhost:{self.server.port},pf=ip4,cafile={self.certificate}"],
                              input=request, capture_output=True, timeout=support.PATIENCE)
        self.assertEqual(done.returncode, 0, done)
        self.assertTrue(done.stdout.startswith(b"HTTP/1.1 200"), done)
        self.assertTrue(done.stdout.endswith(b"Hello, World!"), done)

    @unittest.skipUnless(shutil.which("socat"), "socat is not installed")
    def test_socat_answers(self):
        answer = pathlib.Path(self.dir) / "answer"
        answer.write_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfrom socat\n")
        # The file is read to its end before the request is: so it must be told to go on with the other direction.
        process = subprocess.Popen(["socat", "-d", "-d", "-t", str(support.PATIENCE),
                                    f"OPENSSL-LISTEN:0,pf=ip4,bind=127.0.0.1,cert={self.certificate},key={self.key},verify=0",
                                    f"OPEN:{answer},rdonly!!OPEN:/dev/null,wronly"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=support.die_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stderr.close)
        port = 0
        for line in process.stderr:
            if found := re.search(r"listening on .*127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
                break
        self.assertNotEqual(port, 0)
        self.assertEqual(self.get(f"https://localhost:{port}/"), (0, b"200 from socat\n", ""))


if __name__ == "__main__":
    support.main()
